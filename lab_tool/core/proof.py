"""Whether what was signed was signed by whom it says, with a key that was theirs then and is listed as theirs now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from lab_tool.core.change_state import ChangeState, Decision
from lab_tool.core.document import APPROVE_NAMESPACE, REJECT_NAMESPACE, REQUEST_NAMESPACE
from lab_tool.core.identity import bare
from lab_tool.errors import RefusedError
from lab_tool.school.model import Key, Person, School
from lab_tool.signature import signer_of, valid_on

DEEDS = {REQUEST_NAMESPACE: "request", APPROVE_NAMESPACE: "approval", REJECT_NAMESPACE: "rejection"}


def require_signed(school: School, state: ChangeState, decision: Decision, namespace: str) -> Person:
    """The person who made this decision about this change, proved anew from the bytes in the log.

    The key must be listed as theirs in `people.yml` today and have counted on that day, and the log must show that it
    was listed as theirs then. So a key that is taken out of `people.yml` takes all it signed with it (it was stolen, or
    should never have been there), and one that is given a last day does not (it was replaced). Raises `RefusedError`.
    """
    deed, who = DEEDS[namespace], decision.person
    person = school.people.get(who)
    if person is None:
        raise RefusedError(f"the {deed} of {state.id} is by {who or 'nobody'}, who is not in inventory/people.yml")
    key = next((key for key in person.keys if bare(key.line) == decision.key), None)
    if key is None:
        raise RefusedError(f"the {deed} of {state.id} is signed with a key that is not {who}'s in inventory/people.yml")
    moment = decision.time.astimezone(ZoneInfo(school.time_zone))
    if not valid_on(key, moment.date()):
        raise RefusedError(
            f"the {deed} of {state.id} is signed with a key of {who} that did not count on {moment.date()}"
        )
    if not decision.known:
        raise RefusedError(
            f"the {deed} of {state.id} is signed with a key that was not known to be {who}'s at that time",
            next_command="lab log show --kind people.changed",
        )
    if signer_of(state.change.signed, decision.signature, namespace, [(who, key)], moment) != who:
        raise RefusedError(
            f"the {deed} of {state.id} carries a signature that is not {who}'s over this change",
            next_command=f"lab log show --change {state.id}",
        )
    return person


def find_signer(
    school: School, message: bytes, armored: str, namespace: str, people: Iterable[Person], now: datetime
) -> tuple[Person, str]:
    """Which of `people` made a signature that was brought along, and with which key (type and base64).

    Raises `RefusedError`, which says so when it was made for something else.
    """
    moment = now.astimezone(ZoneInfo(school.time_zone))
    keys = [(person, key) for person in people for key in person.keys]
    candidates: list[tuple[str, Key]] = [(str(number), key) for number, (_, key) in enumerate(keys)]
    found = signer_of(message, armored, namespace, candidates, moment)
    if found is not None:
        person, key = keys[int(found)]
        return person, bare(key.line)
    for other, deed in DEEDS.items():
        if other != namespace and signer_of(message, armored, other, candidates, moment) is not None:
            raise RefusedError(f"this signature was made for a {deed} (-n {other}), not with -n {namespace}")
    names = sorted({person.id for person, _ in keys})
    whose = f"{names[0]}'s" if len(names) == 1 else "anybody's in inventory/people.yml"
    raise RefusedError(
        f"this signature is not {whose} over exactly this change",
        next_command="lab change export CHANGE",
    )
