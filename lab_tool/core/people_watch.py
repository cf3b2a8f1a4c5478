"""Whose key was whose, and when: `people.yml` as it stood, recorded whenever it is not as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from lab_tool.canonical import Json, dump
from lab_tool.core.identity import bare
from lab_tool.core.serial import one_at_a_time
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LOG_ITSELF, LogStore
from lab_tool.school.model import Grant, Person, School
from lab_tool.settings import Settings

KIND = "people.changed"
GRANTS = ("request", "approve", "run", "emergency")


def record_people(settings: Settings, school: School, clock: Callable[[], datetime]) -> Entry | None:
    """Record the people and what they may do, if the log does not hold just that; every command that writes calls it.

    The entry says what is different in words, and holds all of it, and the folder it was read from: no names, no
    private keys.
    """
    people: dict[str, Json] = {name: _person(person) for name, person in school.people.items()}
    digest = hashlib.sha256(dump(people)).hexdigest()
    folder = str(settings.inventory)
    if _digest(_last(settings)) == digest:
        return None
    with one_at_a_time(settings):
        last = _last(settings)
        if _digest(last) == digest:
            return None
        before = last.body["people"] if last else {}
        changes: list[Json] = list(_changes(before, people))
        # Somebody may name an inventory of their own, in which they are the director.
        body: dict[str, Json] = {"digest": digest, "changes": changes, "people": people, "folder": folder}
        return LogStore(settings.log, clock).append(actor=LOG_ITSELF, kind=KIND, subject=Subject(), body=body)


def was_key_of(entries: Sequence[Entry], person: str, line: str, before: int) -> bool:
    """Whether that key was that person's when entry number `before` was written, by the log's entries about people."""
    last = next((entry for entry in reversed(entries) if entry.seq < before), None)
    if last is None:
        return False
    keys = last.body.get("people", {}).get(person, {}).get("keys", [])
    return any(key["key"] == bare(line) for key in keys)


def _last(settings: Settings) -> Entry | None:
    entries = find(settings.log, Query(kinds=(KIND,), last=1))
    return entries[0] if entries else None


def _digest(entry: Entry | None) -> str:
    return str(entry.body["digest"]) if entry else ""


def _person(person: Person) -> dict[str, Json]:
    keys: list[Json] = [
        {"key": bare(key.line), "first_day": _day(key.first_day), "last_day": _day(key.last_day)} for key in person.keys
    ]
    grants = {name: _grant(getattr(person, name)) for name in GRANTS}
    return {"keys": keys, **grants, "keep": person.keep, "audit": person.audit, "service": person.service}


def _grant(grant: Grant) -> dict[str, Json]:
    return {"verbs": sorted(grant.verbs), "rooms": sorted(grant.rooms), "up_to": grant.up_to}


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What is different, a line each: `wang_fang: keys`."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield f"{name} is new"
        elif name not in after:
            yield f"{name} is gone"
        else:
            fields = sorted(field for field in after[name] if before[name].get(field) != after[name][field])
            if fields:
                yield f"{name}: {', '.join(fields)}"
