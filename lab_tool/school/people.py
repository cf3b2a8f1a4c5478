"""From `people.yml` and the log's keys to persons, their grants and their keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from lab_tool.rules import VERBS
from lab_tool.school.files import Document
from lab_tool.school.keys import KeyLineError, key_identity
from lab_tool.school.model import Grant, Key, Person
from lab_tool.school.problem import Problem, did_you_mean
from lab_tool.school.rooms import text
from lab_tool.school.shapes import ALL, GrantShape, KeyShape, PeopleShape, PersonShape

GRANTS = ("request", "approve", "run", "emergency")
NOTHING = Grant(frozenset(), frozenset())


def make_people(shape: PeopleShape, rooms: Collection[str]) -> dict[str, Person]:
    """The persons, with `all` resolved to every verb and every room. `check_people` found nothing wrong."""
    return {
        name: Person(
            id=name,
            name=text(person.name),
            keys=make_keys(person.keys),
            request=_grant(person.request, rooms),
            approve=_grant(person.approve, rooms),
            run=_grant(person.run, rooms),
            emergency=_grant(person.emergency, rooms),
            keep=person.keep,
            audit=person.audit,
            service=person.service,
        )
        for name, person in shape.people.items()
    }


def make_keys(keys: Collection[KeyShape]) -> tuple[Key, ...]:
    """Key lines and their days."""
    return tuple(Key(key.key, _day(key.first_day), _day(key.last_day)) for key in keys)


def check_people(document: Document, shape: PeopleShape, rooms: Collection[str] | None) -> list[Problem]:
    """Grants for rooms and verbs that don't exist, and whatever is wrong with a key. `rooms` None: not asked."""
    problems: list[Problem] = []
    owners: dict[bytes, str] = {}
    for name, person in shape.people.items():
        path = ("people", name)
        problems += check_keys(document, (*path, "keys"), person.keys, name, owners)
        problems += _check_grants(document, path, person, rooms)
    return problems


def check_keys(
    document: Document,
    path: tuple[object, ...],
    keys: Collection[KeyShape],
    owner: str,
    owners: dict[bytes, str],
) -> Iterator[Problem]:
    """Keys that OpenSSH could not use, that stand twice, or whose days run backwards; adds to `owners`."""
    for at, key in enumerate(keys):
        place = (*path, at)
        days = {}
        for field, value in (("first_day", key.first_day), ("last_day", key.last_day)):
            try:
                days[field] = _day(value)
            except ValueError:
                yield document.problem((*place, field), f"{value!r} is no day of the calendar", "Such as 2026-09-01")
        first, last = days.get("first_day"), days.get("last_day")
        if first and last and first > last:
            yield document.problem((*place, "last_day"), "the last day is before the first", "Swap them")
        try:
            identity = key_identity(key.key)
        except KeyLineError as error:
            yield document.problem(place, f"no public key: {error}", "Copy the whole line from the .pub file")
            continue
        if identity in owners:
            # Two names with one key would be one person where two must agree.
            what = f"one key listed twice ({owners[identity]}, {owner})"
            yield document.problem(place, what, "Every key belongs to one person, once")
        owners.setdefault(identity, owner)


def _check_grants(
    document: Document, path: tuple[object, ...], person: PersonShape, rooms: Collection[str] | None
) -> Iterator[Problem]:
    for name, word in (("approve", "approve"), ("emergency", "declare an emergency")):
        if person.service and getattr(person, name) is not None:
            yield document.problem((*path, name), f"a service can't {word}", "Only people can")
    for name in GRANTS:
        grant: GrantShape | None = getattr(person, name)
        if grant is None:
            continue
        known_lists = (("verbs", grant.verbs, VERBS), ("rooms", grant.rooms, rooms))
        for field, words, known in known_lists:
            if words == [ALL] or known is None:
                continue
            for at, word in enumerate(words):
                if word not in known:
                    fix = did_you_mean(word, known)
                    yield document.problem((*path, name, field, at), f"unknown {field[:-1]} {word!r}", fix)


def _grant(shape: GrantShape | None, rooms: Collection[str]) -> Grant:
    if shape is None:
        return NOTHING
    verbs = tuple(VERBS) if shape.verbs == [ALL] else shape.verbs
    return Grant(frozenset(verbs), frozenset(rooms if shape.rooms == [ALL] else shape.rooms), shape.up_to)


def _day(value: str | None) -> date | None:
    return None if value is None else date.fromisoformat(value)
