"""How a change is shown: in a list, in full, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lab_tool.cli.output import Output
from lab_tool.core.gate import valid_approval
from lab_tool.core.window import local_text
from lab_tool.errors import RefusedError

if TYPE_CHECKING:
    from lab_tool.core.change_state import ChangeState, Decision
    from lab_tool.school.model import School

COLOURS = {"overdue": "red", "requested": "yellow", "approved": "green", "running": "cyan"}
MOST_NAMES = 10


def row(school: School, state: ChangeState, now: datetime, out: Output) -> tuple[str, ...]:
    """One line of the list."""
    status = _status_words(state, now, out)
    if approval_problem(school, state, now):
        status += " (!)"
    return (
        state.id,
        status,
        state.verb,
        ", ".join(state.rooms),
        str(len(state.plan.hosts)),
        state.change.requester,
        state.change.why,
    )


def details(school: School, state: ChangeState, now: datetime, out: Output) -> None:
    """All that is asked for, in the order in which somebody who signs it wants to know it."""
    status = state.status(now)
    out.line(f"{out.say('change', 'id')} {state.id}: {_status_words(state, now, out)}", bold=True)
    problem = approval_problem(school, state, now)
    if problem:
        out.line(out.say("change", "invalid", why=problem), colour="red", bold=True)
    if status == "overdue":
        out.line(out.say("change", "overdue"), colour="red", bold=True)
    lines = [*_asked(school, state, out), *_decided(school, state, out)]
    for word, text in lines:
        out.line(f"  {out.say('change', word)}: {text}")


def requested(school: School, state: ChangeState, now: datetime, out: Output) -> None:
    """A change that was requested just now, and what comes next."""
    details(school, state, now, out)
    out.line()
    out.line(out.say("change", "made", id=state.id), bold=True)
    out.result("change", as_json(school, state, now))


def as_json(school: School, state: ChangeState, now: datetime) -> dict[str, Any]:
    """A change in `--json`: its document as signed, and what the log says became of it."""
    return {
        "id": state.id,
        "status": state.status(now),
        "approval_problem": approval_problem(school, state, now),
        "document": state.change.as_json(),
        "hosts": list(state.plan.hosts),
        "left_out": dict(state.plan.excluded),
        "approvals": [_decision_json(decision) for decision in state.approvals],
        "rejections": [_decision_json(decision) for decision in state.rejections],
        "runs": list(state.runs),
    }


def approval_problem(school: School, state: ChangeState, now: datetime) -> str:
    """Why an approval that is recorded does not hold; empty when it does, or when there is none to hold."""
    if not state.approvals or state.status(now) not in ("approved", "running", "done"):
        return ""
    try:
        valid_approval(school, state)
    except RefusedError as error:
        return error.what
    return ""


def _asked(school: School, state: ChangeState, out: Output) -> Iterator[tuple[str, str]]:
    change, plan = state.change, state.plan
    zone = ZoneInfo(school.time_zone)
    yield "why", change.why
    yield "verb", change.verb
    yield "rooms", ", ".join(change.rooms)
    yield "hosts", _names(plan.hosts, out)
    if plan.excluded:
        yield "left_out", ", ".join(f"{host} ({reason})" for host, reason in plan.excluded.items())
    if change.overrides:
        yield "settings", ", ".join(f"{name}={value}" for name, value in change.overrides.items())
    yield "risk", out.say("change", state.risk)
    yield "requester", _by(change.requester, change.requested, zone, out)
    if change.standing:
        fields = change.standing.as_json()
        yield (
            "standing",
            out.say("change", "weekly", weekly=fields["weekly"], zone=fields["time_zone"], last_day=fields["last_day"]),
        )
    elif change.window:
        opens, closes = local_text(change.window.opens, zone), local_text(change.window.closes, zone)
        yield "window", out.say("change", "from_to", opens=opens, closes=closes, zone=zone.key)
    elif not change.emergency:
        yield "window", out.say("change", "any_time")
    if change.expires and not change.standing:
        yield "until", f"{local_text(change.expires, zone)} ({zone.key})"
    commit = str(plan.about.get("commit", ""))[:12] or out.say("change", "unknown")
    dirty = out.say("change", "dirty") if plan.about.get("dirty") else ""
    files = out.say("change", "files", digest=plan.digest[:12], files=len(plan.content), commit=commit)
    yield "plan", files + dirty


def _decided(school: School, state: ChangeState, out: Output) -> Iterator[tuple[str, str]]:
    zone = ZoneInfo(school.time_zone)
    for approval in state.approvals:
        yield "approval", _by(approval.person, approval.time, zone, out)
    for rejection in state.rejections:
        who = _by(rejection.person, rejection.time, zone, out)
        yield "rejection", out.say("change", "reason", who=who, why=rejection.why)
    if state.runs:
        yield "runs", ", ".join(state.runs)


def _status_words(state: ChangeState, now: datetime, out: Output) -> str:
    status = state.status(now)
    return out.say("change", "requested_status" if status == "requested" else status)


def _by(person: str, moment: datetime, zone: ZoneInfo, out: Output) -> str:
    return out.say("change", "by", person=person or "?", time=local_text(moment, zone))


def _names(names: Sequence[str], out: Output) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return out.say("change", "and_more", names=", ".join(names[:MOST_NAMES]), number=len(names))


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "person": decision.person,
        "time": decision.entry.time,
        "entry": decision.entry.seq,
        "key": decision.key,
        "why": decision.why,
    }
