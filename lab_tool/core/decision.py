"""Approving and rejecting changes: each is a signature over the very bytes that were requested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool.canonical import Json
from lab_tool.core.change_state import ChangeState, get_change
from lab_tool.core.document import APPROVE_NAMESPACE, REJECT_NAMESPACE
from lab_tool.core.gate import (
    require_grant,
    require_may_approve,
    require_open,
    require_requested,
    require_unmoved,
    rooms_concerned,
    valid_approval,
)
from lab_tool.core.identity import identify, local_day
from lab_tool.core.people_watch import record_people
from lab_tool.core.plain_text import reason
from lab_tool.core.plan import make_plan
from lab_tool.core.proof import find_signer
from lab_tool.core.serial import one_at_a_time
from lab_tool.errors import RefusedError, UsageError
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Person, School
from lab_tool.settings import Settings
from lab_tool.signature import public_line, sign

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Credential:
    """How somebody decides: with a key on this machine, or with a signature made on another, of `person` or anybody."""

    key: Path | None = None
    signature: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a change is now, and whether it was so before: then nothing was written."""

    state: ChangeState
    person: str
    already: bool


def approve(
    settings: Settings,
    school: School,
    change: str,
    credential: Credential,
    clock: Clock,
    before_signing: Callable[[ChangeState], None],
) -> Decided:
    """Approve a change; `before_signing` is given what will be signed, when nothing else stands in the way of it.

    Raises `RefusedError` when the person may not, or the change can't be approved (any more).
    """
    now = clock()
    state = get_change(settings, change)
    person, key = _who(school, state, credential, APPROVE_NAMESPACE, now)
    require_may_approve(school, state, person, key)
    already = _approved_already(school, state)
    if already:
        return already
    _require_approvable(school, state, now)
    if not state.emergency:
        require_unmoved(state, make_plan(settings, school, state.verb, state.hosts, state.overrides))
    before_signing(state)
    signature = _signature(school, state, credential, APPROVE_NAMESPACE, person, now)
    record_people(settings, school, clock)
    with one_at_a_time(settings):
        state = get_change(settings, change)
        already = _approved_already(school, state)
        if already:
            return already
        _require_approvable(school, state, clock())
        body: dict[str, Json] = {"approver": person.id, "signature": signature, "key": key}
        _append(settings, clock, person.id, "change.approved", state, body)
    return Decided(get_change(settings, change), person.id, already=False)


def reject(settings: Settings, school: School, change: str, why: str, credential: Credential, clock: Clock) -> Decided:
    """Reject a change, or take back one's own; also one that was approved, until it is run.

    Raises `RefusedError` when the person may not, or when it is too late.
    """
    now = clock()
    why = reason(why, "--why")
    state = get_change(settings, change)
    person, key = _who(school, state, credential, REJECT_NAMESPACE, now)
    # An emergency is not the requester's to take back: it has happened, and somebody else has to look at it.
    if person.id != state.change.requester or state.emergency:
        require_may_approve(school, state, person, key)
    signature = _signature(school, state, credential, REJECT_NAMESPACE, person, now)
    record_people(settings, school, clock)
    with one_at_a_time(settings):
        state = get_change(settings, change)
        if state.rejections:
            return Decided(state, state.rejections[0].person, already=True)
        if state.runs and not state.standing and not state.emergency:
            raise RefusedError(
                f"{state.id} has been run ({state.runs[-1]})", next_command=f"lab change show {state.id}"
            )
        body: dict[str, Json] = {"person": person.id, "why": why, "signature": signature, "key": key}
        _append(settings, clock, person.id, "change.rejected", state, body)
    return Decided(get_change(settings, change), person.id, already=False)


def _who(
    school: School, state: ChangeState, credential: Credential, namespace: str, now: datetime
) -> tuple[Person, str]:
    """The person who decides, and the key (type and base64) they do it with."""
    if credential.key is not None:
        return identify(school, credential.key, local_day(school, now)), public_line(credential.key)
    people = school.people
    if credential.person and credential.person not in people:
        raise UsageError(f"inventory/people.yml has no {credential.person!r}; it has {', '.join(people)}")
    named = [people[credential.person]] if credential.person else list(people.values())
    return find_signer(school, state.change.signed, credential.signature, namespace, named, now)


def _signature(
    school: School, state: ChangeState, credential: Credential, namespace: str, person: Person, now: datetime
) -> str:
    if credential.key is None:
        return credential.signature
    signature = sign(state.change.signed, credential.key, namespace)
    # What is recorded must verify later, so it is verified now.
    find_signer(school, state.change.signed, signature, namespace, [person], now)
    return signature


def _approved_already(school: School, state: ChangeState) -> Decided | None:
    """The approval that is there, unless it does not hold: then another may be given."""
    if not state.approvals or state.rejections:
        return None
    try:
        approval = valid_approval(school, state)
    except RefusedError:
        return None
    return Decided(state, approval.person, already=True)


def _require_approvable(school: School, state: ChangeState, now: datetime) -> None:
    require_open(school, state, now)
    requester = require_requested(school, state)
    if not state.emergency:
        where = rooms_concerned(school, state.verb, state.rooms, state.overrides)
        require_grant(requester, ("request",), state.verb, where, state.risk)
    _require_not_run(state)
    if state.change.window and now >= state.change.window.closes:
        raise RefusedError(f"the window of {state.id} is over; it has to be requested again")


def _require_not_run(state: ChangeState) -> None:
    """An emergency is approved after it was run, and a prepared procedure runs many times; nothing else does."""
    if state.runs and not state.standing and not state.emergency:
        raise RefusedError(f"{state.id} has been run ({state.runs[-1]})", next_command=f"lab change show {state.id}")


def _append(settings: Settings, clock: Clock, actor: str, kind: str, state: ChangeState, body: dict[str, Json]) -> None:
    subject = Subject(state.id, "", state.hosts, state.rooms, VERBS[state.verb].rules)
    LogStore(settings.log, clock).append(actor=actor, kind=kind, subject=subject, body=body)
