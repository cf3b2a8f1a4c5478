"""The gate: nothing runs, and nobody approves, unless every one of these conditions holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from lab_tool.canonical import Json
from lab_tool.clock import utc_text
from lab_tool.core.change_state import ChangeState, Decision, all_changes, get_change
from lab_tool.core.document import APPROVE_NAMESPACE, REQUEST_NAMESPACE
from lab_tool.core.moved import listed
from lab_tool.core.plan import Plan, what_moved
from lab_tool.core.proof import require_signed
from lab_tool.core.window import current_or_next, local_text
from lab_tool.errors import RefusedError, UsageError
from lab_tool.rules import VERBS
from lab_tool.school.model import Grant, Person, Risk, School
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings

GrantName = Literal["request", "approve", "run", "emergency"]
# How long a change may wait to be run, and a prepared procedure be run again without anybody looking at it anew (days).
LONGEST_WAIT = 90
LONGEST_STANDING = 366


@dataclass(frozen=True, slots=True)
class Approval:
    """The approval a run stands on: who, the entry it is recorded in, and the signature with its key.

    `closes` is the end of the window the run began in (UTC text), empty without one.
    """

    approver: str
    entry: int
    entry_hash: str
    time: str
    signature: str
    key: str
    closes: str

    def as_json(self) -> dict[str, Json]:
        """For the entry of the run."""
        return {
            "approver": self.approver,
            "entry": self.entry,
            "entry_hash": self.entry_hash,
            "time": self.time,
            "signature": self.signature,
            "key": self.key,
            "window_closes": self.closes,
        }


def require_grant(
    person: Person, kinds: Sequence[GrantName], verb: str, rooms: frozenset[str], risk: Risk | None = None
) -> None:
    """Refuse unless one of the person's grants covers the verb in all the rooms at that risk (the verb's, if None)."""
    risk = risk or VERBS[verb].risk
    grants: list[Grant] = [getattr(person, kind) for kind in kinds]
    if any(grant.covers(verb, rooms, risk) for grant in grants):
        return
    best = grants[0]
    if verb not in best.verbs:
        lacking = f"{verb} at all"
    elif rooms - best.rooms:
        lacking = f"{verb} in {', '.join(sorted(rooms - best.rooms))}"
    else:
        lacking = f"{verb} of {risk} risk (only up to {best.up_to})"
    words = " or ".join(kind if kind != "emergency" else "run in an emergency" for kind in kinds)
    raise RefusedError(f"{person.id} may not {words} {lacking} (inventory/people.yml)")


def rooms_concerned(school: School, verb: str, rooms: Iterable[str], settings: Mapping[str, Json]) -> frozenset[str]:
    """The rooms a right has to cover: where it is done, and where the machine is whose data it brings there."""
    owner = str(settings.get(VERBS[verb].owner, ""))
    return (
        frozenset((*rooms, *(host.room for host in select_hosts(school, (), (owner,))))) if owner else frozenset(rooms)
    )


def require_may_plan(person: Person, verb: str, rooms: frozenset[str]) -> None:
    """Refuse those who may neither request nor run it; what only reads may be run by auditors too."""
    if VERBS[verb].reads and person.audit:
        return
    require_grant(person, ("request", "run"), verb, rooms)


def require_acts(verb: str) -> None:
    """Refuse to run, or ask approval for, a verb that only reads: it is never run but in check mode."""
    if VERBS[verb].reads:
        raise UsageError(f"{verb} changes nothing and needs no approval", next_command=f"lab {verb} --help")


def require_may_approve(school: School, state: ChangeState, person: Person, key: str) -> None:
    """Refuse unless this person with this key may approve that change: not their own, and within their grant."""
    if person.id == state.change.requester or key == state.request.key:
        raise RefusedError(f"{state.id} was requested by {state.change.requester}: somebody else has to approve it")
    require_person(person)
    where = rooms_concerned(school, state.verb, state.rooms, state.overrides)
    require_grant(person, ("approve",), state.verb, where, state.risk)


def require_requested(school: School, state: ChangeState) -> Person:
    """The person who requested it, proved anew; refused for a service, whose key lies on this machine."""
    person = require_signed(school, state, state.request, REQUEST_NAMESPACE)
    require_person(person)
    return person


def require_person(person: Person) -> None:
    """Refuse a service: two people have to agree, and whoever looks after the service would be both of them."""
    if person.service:
        raise RefusedError(f"{person.id} is a service: changes are requested and approved by people")


def require_open(school: School, state: ChangeState, now: datetime) -> None:
    """Refuse what can neither be approved nor run any more: another log's, rejected, expired."""
    change = state.change
    if change.origin != school.log.origin:
        raise RefusedError(f"{state.id} was requested in {change.origin}, and this is {school.log.origin}")
    if state.rejections:
        raise RefusedError(f"{state.id} was rejected by {state.rejections[0].person}: {state.rejections[0].why}")
    if state.emergency:
        return
    longest = timedelta(days=LONGEST_STANDING if state.standing else LONGEST_WAIT)
    # By the time of the entry: the time in the document is what the requester said.
    if change.expires is None or change.expires > state.request.time + longest:
        raise RefusedError(f"{state.id} would count for more than {longest.days} days; request a shorter one")
    if now >= change.expires or (state.standing and now >= state.standing.ends):
        zone = ZoneInfo(school.time_zone)
        raise RefusedError(
            f"{state.id} expired on {local_text(change.expires, zone)}; request it again",
            next_command=f"lab change request {state.verb} --room {state.rooms[0]} --why ...",
        )


def valid_approval(school: School, state: ChangeState) -> Decision:
    """The first approval that holds, everything about it proved anew. Raises `RefusedError`: why none does."""
    if not state.approvals:
        raise RefusedError(f"{state.id} is not approved", next_command=f"lab change approve {state.id}")
    require_requested(school, state)
    refusal: RefusedError | None = None
    for approval in state.approvals:
        try:
            person = require_signed(school, state, approval, APPROVE_NAMESPACE)
            require_may_approve(school, state, person, approval.key)
            return approval
        except RefusedError as error:
            refusal = refusal or error
    raise refusal or RefusedError(f"{state.id} is not approved")


def require_runnable(
    settings: Settings, school: School, state: ChangeState, plan: Plan, now: datetime, *, resumes: str = ""
) -> Approval:
    """The approval by which `plan`, made just now, may be run now; `resumes` is the run it goes on with.

    The change is read from the log anew, not taken from `state`. Raises `RefusedError` with the
    first condition that fails.
    """
    return _require_runnable(school, get_change(settings, state.id), plan, now, resumes)


def find_standing(settings: Settings, school: School, plan: Plan, now: datetime) -> tuple[ChangeState, Approval]:
    """The standing approval under which `plan` may be run now. Raises `RefusedError`: why each that is near is not."""
    where = ", ".join(plan.rooms)
    reasons: list[str] = []
    rooms = " ".join(f"--room {room}" for room in plan.rooms)
    next_command = f'lab change request {plan.verb} {rooms} --why "..."'
    states, damaged = all_changes(settings)
    for state in reversed(states):
        if state.standing is None or state.verb != plan.verb or not set(state.rooms) & set(plan.rooms):
            continue
        try:
            return state, _require_runnable(school, state, plan, now, "")
        except RefusedError as error:
            reasons.append(error.what if state.id in error.what else f"{state.id}: {error.what}")
            next_command = error.next_command or next_command
    reasons += [error.what for error in damaged.values()]
    if not reasons:
        reasons = ["there is none"]
    raise RefusedError(
        f"no standing approval lets {plan.verb} run in {where} now. {'. '.join(reasons)}",
        next_command=next_command,
    )


def _require_runnable(school: School, state: ChangeState, plan: Plan, now: datetime, resumes: str) -> Approval:
    require_open(school, state, now)
    if state.emergency:
        raise RefusedError(f"{state.id} was an emergency: it ran, and gives no right to run again")
    _require_not_run(state, resumes)
    approval = valid_approval(school, state)
    closes = _require_window(school, state, now)
    require_unmoved(state, plan)
    return Approval(
        approver=approval.person,
        entry=approval.entry.seq,
        entry_hash=approval.entry.hash,
        time=approval.entry.time,
        signature=approval.signature,
        key=approval.key,
        closes=closes,
    )


def _require_not_run(state: ChangeState, resumes: str) -> None:
    if resumes:
        if resumes not in state.runs:
            raise RefusedError(f"{resumes} is no run of {state.id}")
        if resumes != state.runs[-1] and not state.standing:
            raise RefusedError(
                f"{resumes} was gone on with in {state.runs[-1]}", next_command=f"lab run --resume {state.runs[-1]}"
            )
    elif state.runs and not state.standing:
        cut_off = state.runs[-1] in state.open_runs
        raise RefusedError(
            f"{state.id} has been run ({state.runs[-1]}): an approval is for one run",
            next_command=f"lab run --resume {state.runs[-1]}" if cut_off else f"lab change show {state.id}",
        )


def _require_window(school: School, state: ChangeState, now: datetime) -> str:
    """When the window closes that is open now (UTC text; empty when there is none to heed), or a refusal."""
    window, standing = state.change.window, state.standing
    if window is not None:
        zone = ZoneInfo(school.time_zone)
        if now >= window.closes:
            raise RefusedError(
                f"the window of {state.id} closed on {local_text(window.closes, zone)}; request it again"
            )
    elif standing is not None:
        zone = standing.zone
        window = current_or_next(standing.weekly, zone, now)
        if window.opens >= standing.ends:
            raise RefusedError(f"{state.id} has no window any more before its last day, {standing.last_day}")
    else:
        return ""
    if not window.holds(now):
        opens, closes = local_text(window.opens, zone), local_text(window.closes, zone)
        raise RefusedError(f"{state.id} fits, but its window opens {opens} (to {closes}, {zone.key})")
    return utc_text(min(window.closes, standing.ends) if standing else window.closes)


def require_unmoved(state: ChangeState, plan: Plan) -> None:
    """Refuse a plan that is not the approved one: for a standing approval, one that is not the approved procedure."""
    moved = _standing_moved(state, plan) if state.standing else list(what_moved(state.plan, plan))
    if moved:
        raise RefusedError(
            f"{state.id} was requested for another plan. Moved since: {'; '.join(moved)}",
            next_command=f"lab plan {state.verb} --room {state.rooms[0]}",
        )


def _standing_moved(state: ChangeState, plan: Plan) -> list[str]:
    """In what `plan` goes beyond a prepared procedure: its rooms and hosts, its files, the variables of its hosts.

    Machines of its rooms may come, go and be replaced, as long as their variables are ones that were approved for a
    machine of that room: a new PC is patched like the others, and a room with new settings is not.
    """
    approved = state.plan
    beyond = [
        host
        for host, machine in plan.machines.items()
        if machine["room"] not in approved.whole_rooms and host not in approved.hosts
    ]
    found = [f"not in it: {listed(beyond)}"] if beyond else []
    if plan.procedure != approved.procedure:
        # Hosts and their variables are compared in their own way below.
        found += what_moved(approved, _same_hosts(approved, plan))
    known: dict[str, set[str]] = {}
    for host, digest in approved.policy.items():
        known.setdefault(approved.machines[host]["room"], set()).add(digest)
    odd = [host for host in plan.hosts if plan.policy[host] not in known.get(plan.machines[host]["room"], set())]
    odd = [host for host in odd if host not in beyond]
    return [*found, f"variables of {listed(odd)}"] if odd else found


def _same_hosts(approved: Plan, plan: Plan) -> Plan:
    """`plan`, as if it were for the hosts of the approved one."""
    return replace(approved, verb=plan.verb, content=plan.content, overrides=plan.overrides)
