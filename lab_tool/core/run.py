"""One run: locks, the record that it begins, the playbook, the reckoning, the record of its end, a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool import signature
from lab_tool.canonical import Json, dump
from lab_tool.clock import parse_utc, utc_text
from lab_tool.core.change_state import get_change
from lab_tool.core.gate import require_runnable
from lab_tool.core.locks import host_locks
from lab_tool.core.outcome import BAD, Outcome, outcomes
from lab_tool.core.plan import Plan, make_plan, what_moved
from lab_tool.core.playbook import PlayEnd, Progress, play, uninterrupted
from lab_tool.core.run_id import new_run_id
from lab_tool.core.versions import versions
from lab_tool.errors import LabError, LogWriteError
from lab_tool.log.checkpoint import Published, publish
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Host, Person, School
from lab_tool.settings import Settings

RUN_NAMESPACE = "lab-run"
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, by whom, and by what right. `hosts` is never empty; `emergency` is a reason or empty."""

    plan: Plan
    hosts: tuple[Host, ...]
    actor: Person
    key: Path
    check: bool
    change: str = ""
    approval: Mapping[str, Json] | None = None
    emergency: str = ""
    resumes: str = ""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `problem` is what the tool itself could not do, `moved` what changed under the run, `published`
    the checkpoint or why there is none."""

    run: str
    change: str
    check: bool
    outcomes: Mapping[str, Outcome]
    interrupted: str
    problem: str
    moved: tuple[str, ...]
    published: Published | LabError | None

    @property
    def all_good(self) -> bool:
        """Whether no host is failed, unreachable or missing."""
        return not any(outcome.outcome in BAD for outcome in self.outcomes.values())


def execute(settings: Settings, school: School, order: Order, progress: Progress, clock: Clock) -> RunResult:
    """Run `order` to its end, or to an interruption; every expected host has exactly one outcome afterwards.

    Raises `RefusedError` when a host is in use, `LogWriteError` when its beginning or its end can't be recorded.
    """
    run = new_run_id(clock())
    store = LogStore(settings.log, clock)
    since = utc_text(clock())
    names = tuple(host.name for host in order.hosts)
    subject = _subject(run, order)
    with host_locks(settings.locks, names, run=run, actor=order.actor.id, since=since) as locks:
        _require_still_right(settings, school, order, clock())
        store.append(actor=order.actor.id, kind="run.started", subject=subject, body=_beginning(settings, run, order))
        end = play(
            settings,
            run,
            settings.project / VERBS[order.plan.verb].playbook,
            hosts=names,
            overrides={**order.plan.overrides, **_window_end(order)},
            check=order.check,
            locks=locks,
            progress=progress,
        )
        with uninterrupted():
            result = _reckon(settings, school, run, order, end)
            store.append(actor=order.actor.id, kind="run.finished", subject=subject, body=_ending(result, end))
    published: Published | LabError
    try:
        published = publish(settings, school.log, clock)
    except LabError as error:
        # What the run did is told first, whatever became of the checkpoint.
        published = error
    except OSError as error:
        published = LogWriteError(f"no checkpoint: {error.strerror}", where=str(error.filename or settings.log))
    return RunResult(
        run, order.change, order.check, result.outcomes, end.interrupted, result.problem, result.moved, published
    )


def _require_still_right(settings: Settings, school: School, order: Order, now: datetime) -> None:
    """Ask the gate again with the hosts locked: another run of the same change may have ended a moment ago."""
    if order.approval is not None:
        state = get_change(settings, order.change)
        require_runnable(settings, school, state, order.plan, now, resumes=order.resumes)


def _reckon(settings: Settings, school: School, run: str, order: Order, end: PlayEnd) -> RunResult:
    """Outcomes from the log alone, and whether what ran is what was planned."""
    entries = find(settings.log, Query(run=run))
    names = [host.name for host in order.hosts]
    result = outcomes(names, dict(order.plan.excluded), entries)
    problem = ""
    if not any(entry.kind == "recorder.started" for entry in entries):
        problem = f"Ansible ended before the first task: {_last_line(end.said)}"
    elif "lab_recorder: stopped" in end.said:
        problem = _last_line(end.said)
    moved = what_moved(order.plan, make_plan(settings, school, order.plan.verb, order.plan.asked, order.plan.overrides))
    return RunResult(run, order.change, order.check, result, end.interrupted, problem, moved, None)


def _window_end(order: Order) -> dict[str, Json]:
    """The end of the window, for the role that heeds it: nothing like a reboot begins after it."""
    closes = str(order.approval["window_closes"]) if order.approval else ""
    until = VERBS[order.plan.verb].until
    return {until: f"{parse_utc(closes):%Y-%m-%dT%H:%M:%SZ}"} if closes and until else {}


def _beginning(settings: Settings, run: str, order: Order) -> dict[str, Json]:
    """The body of `run.started`: the signed intent, the right to it, and with what it is run."""
    intent: dict[str, Json] = {
        "v": 1,
        "type": "run",
        "run": run,
        "verb": order.plan.verb,
        "plan": order.plan.digest,
        "hosts": [host.name for host in order.hosts],
        "check": order.check,
        "change": order.change,
        "emergency": order.emergency,
        "resumes": order.resumes,
    }
    return {
        "intent": intent,
        "signature": signature.sign(dump(intent), order.key, RUN_NAMESPACE),
        "key": signature.public_line(order.key),
        "approval": order.approval,
        "check": order.check,
        "emergency": bool(order.emergency),
        "excluded": dict(order.plan.excluded),
        "room_of": {host.name: host.room for host in order.hosts},
        "versions": versions(settings.project),
    }


def _ending(result: RunResult, end: PlayEnd) -> dict[str, Json]:
    return {
        "outcomes": {host: outcome.as_json() for host, outcome in result.outcomes.items()},
        "interrupted": bool(end.interrupted),
        "ansible_exit_code": end.code,
        "moved": list(result.moved),
    }


def _subject(run: str, order: Order) -> Subject:
    hosts = tuple(host.name for host in order.hosts)
    rooms = tuple(sorted({host.room for host in order.hosts}))
    return Subject(change=order.change, run=run, hosts=hosts, rooms=rooms, rules=VERBS[order.plan.verb].rules)


def _last_line(said: str) -> str:
    """What Ansible said last, for the person at the terminal; it goes into no entry, since it may quote a value."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
