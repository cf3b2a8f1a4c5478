"""Adding an image in somebody's name: they may, they sign it, and the log holds it before it is there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lab_tool import signature
from lab_tool.canonical import Json, dump
from lab_tool.clock import utc_text
from lab_tool.core.gate import GrantName, require_grant, require_person
from lab_tool.core.identity import identify, local_day
from lab_tool.core.orders import Desk
from lab_tool.core.people_watch import record_people
from lab_tool.errors import RefusedError
from lab_tool.imaging.format.manifest import NAMESPACE
from lab_tool.imaging.store.adding import Added, add
from lab_tool.imaging.store.draft import Draft, Progress, untold
from lab_tool.imaging.store.proof import ADDED
from lab_tool.imaging.store.store import Store
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Host, Person

VERB = "image"
MAKERS: tuple[GrantName, ...] = ("request", "run")


def require_may(desk: Desk, kinds: tuple[GrantName, ...], rooms: Iterable[str] = ()) -> Person:
    """The person whose key it is, if they may do so with images in these rooms. Raises `RefusedError`."""
    person = identify(desk.school, desk.key, local_day(desk.school, desk.clock()))
    require_person(person)
    require_grant(person, kinds, VERB, frozenset(rooms))
    return person


def add_image(desk: Desk, draft: Draft, progress: Progress = untold, host: Host | None = None) -> Added:
    """Make the draft the next version of its name, signed with the desk's key; `host` is the PC it was captured from.

    Raises `RefusedError` for those not entitled, `LogWriteError` where it can't be recorded: then there is none.
    """
    person = require_may(desk, MAKERS, [host.room] if host else ())
    record_people(desk.settings, desk.school, desk.clock)
    now = desk.clock()

    def sign(data: bytes) -> str:
        return signed(desk, person, data, NAMESPACE, now)

    def record(added: Added) -> None:
        one = added.image
        body: dict[str, Json] = {
            "image": one.id,
            "ref": one.ref,
            "name": one.manifest.name,
            "version": one.manifest.version,
            "manifest": one.data.decode("ascii"),
            "signature": one.signature,
            "key": signature.public_line(desk.key),
            "cells": added.cells,
            "new_cells": added.new_cells,
            "new_bytes": added.new_bytes,
        }
        subject = Subject(
            hosts=(host.name,) if host else (), rooms=(host.room,) if host else (), rules=VERBS[VERB].rules
        )
        LogStore(desk.settings.log, desk.clock).append(actor=person.id, kind=ADDED, subject=subject, body=body)

    return add(Store(desk.settings.images), draft, sign, utc_text(now), person.id, record, progress)


def signed(desk: Desk, person: Person, message: bytes, namespace: str, now: datetime) -> str:
    """The person's signature. Raises `RefusedError` when the key signs as somebody else."""
    armored = signature.sign(message, desk.key, namespace)
    if signature.signer_of(message, armored, namespace, [(person.id, key) for key in person.keys], now) != person.id:
        raise RefusedError(
            f"this key did not sign as {person.id}'s: the .pub beside it is another's", where=str(desk.key)
        )
    return armored


def record_act(desk: Desk, person: Person, kind: str, intent: dict[str, Json], armored: str) -> Entry:
    """One entry of a signed act on images."""
    body: dict[str, Json] = {"intent": intent, "signature": armored, "key": signature.public_line(desk.key)}
    subject = Subject(rules=VERBS[VERB].rules)
    return LogStore(desk.settings.log, desk.clock).append(actor=person.id, kind=kind, subject=subject, body=body)


def sign_act(desk: Desk, person: Person, intent: dict[str, Json], namespace: str) -> str:
    """The signature of such an act, asked for before anybody is kept waiting."""
    record_people(desk.settings, desk.school, desk.clock)
    return signed(desk, person, dump(intent), namespace, desk.clock())
