"""Showing a PC's local password to one of its holders: an entry first, then the password, and afterwards it is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool import secret, signature
from lab_tool.canonical import Json, dump
from lab_tool.core import password_store as store
from lab_tool.core.gate import require_person
from lab_tool.core.identity import identify, local_day
from lab_tool.core.passwords import SHOWN, VERB, Policy, defaults, readers
from lab_tool.core.people_watch import record_people
from lab_tool.core.plain_text import reason
from lab_tool.core.policy import variables_of
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Person, School
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings

NAMESPACE = "lab-password-show"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown, newest first: more than one where a run was cut off and the PC may have any of them."""

    host: str
    account: str
    person: str
    entry: int
    passwords: tuple[str, ...]


def show(settings: Settings, school: School, name: str, why: str, key: Path, clock: Callable[[], datetime]) -> Shown:
    """Decrypt with `key` what is kept for the PC, once the log holds that this person did so, and why.

    Raises `RefusedError` for whoever is no holder, and `LogWriteError` where it can't be recorded: then nothing was
    decrypted.
    """
    now = clock()
    why = reason(why, "--why")
    person = identify(school, key, local_day(school, now))
    require_person(person)
    (host,) = select_hosts(school, (), (name,))
    _require_holder(settings, school, person, host.name, now)
    kept = _kept(settings, host.name)
    _require_key(host.name, kept[-1], person, key)
    # In memory before it is recorded: a run may replace it meanwhile.
    folder = store.folder_of(settings, host.name)
    encrypted = [store.ciphertext(folder, generation) for generation in kept]

    intent: dict[str, Json] = {
        "v": 1,
        "type": "password.show",
        "origin": school.log.origin,
        "host": host.name,
        "account": kept[-1].account,
        "generations": [generation.id for generation in kept],
        "person": person.id,
        "why": why,
    }
    armored = signature.sign(dump(intent), key, NAMESPACE)
    candidates = [(person.id, each) for each in person.keys]
    if signature.signer_of(dump(intent), armored, NAMESPACE, candidates, now) != person.id:
        raise RefusedError(f"this key did not sign as {person.id}'s: the .pub beside it is another's", where=str(key))
    record_people(settings, school, clock)
    body: dict[str, Json] = {"intent": intent, "signature": armored, "key": signature.public_line(key)}
    subject = Subject(hosts=(host.name,), rooms=(host.room,), rules=VERBS[VERB].rules)
    entry = LogStore(settings.log, clock).append(actor=person.id, kind=SHOWN, subject=subject, body=body)
    passwords = [secret.decrypt(data, key) for data in reversed(encrypted)]
    if [generation.id for generation in _kept(settings, host.name)] != intent["generations"]:
        raise LabError(
            "a run replaced the password in this moment",
            next_command=f'lab password show {host.name} --why "..."',
        )
    return Shown(host.name, kept[-1].account, person.id, entry.seq, tuple(passwords))


def _require_holder(settings: Settings, school: School, person: Person, host: str, now: datetime) -> None:
    variables = {**defaults(settings.project), **variables_of(settings, (host,))[host]}
    holders = readers(school.people, Policy.read(variables), local_day(school, now))
    if person.id not in holders:
        raise RefusedError(
            f"{person.id} does not hold the password of {host}; its holders are {', '.join(holders)}",
            next_command=f"lab password list --host {host}",
        )


def _kept(settings: Settings, host: str) -> list[store.Generation]:
    kept = store.generations(store.folder_of(settings, host))
    if not kept:
        raise UsageError(
            f"no password is kept for {host}",
            next_command=f'lab change request {VERB} --host {host} --why "..."',
        )
    return kept


def _require_key(host: str, newest: store.Generation, person: Person, key: Path) -> None:
    if key.suffix == ".pub":
        raise UsageError("age decrypts with the private key's file; an agent can't", where=str(key))
    if signature.public_line(key) not in newest.readers.get(person.id, ()):
        raise RefusedError(
            f"the password was encrypted before this key of {person.id} counted; it will be from the next run on",
            next_command=f'lab change request {VERB} --host {host} --why "..."',
        )
