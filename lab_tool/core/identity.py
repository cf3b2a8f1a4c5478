"""Who acts: the person in `people.yml` whose key it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from lab_tool.errors import RefusedError
from lab_tool.school.model import Key, Person, School
from lab_tool.signature import public_line, valid_on


def default_key(environment: Mapping[str, str]) -> Path:
    """`LAB_KEY`, else `~/.ssh/id_ed25519`."""
    named = environment.get("LAB_KEY")
    return Path(named) if named else Path(environment.get("HOME", "/")) / ".ssh" / "id_ed25519"


def identify(school: School, key: Path, at: date) -> Person:
    """The person whose key this is on that day; that they hold it is proved by what they sign with it.

    Raises `RefusedError` when it belongs to nobody, or did or will on another day.
    """
    line = public_line(key)
    owner, known = owner_of(school, line)
    if owner is None or known is None:
        raise RefusedError(
            f"this key belongs to nobody in inventory/people.yml. Its line there would be: {line}", where=str(key)
        )
    if not valid_on(known, at):
        first, last = known.first_day or "ever", known.last_day or "ever"
        raise RefusedError(f"this key of {owner.id} counts from {first} to {last}, not on {at}", where=str(key))
    return owner


def local_day(school: School, now: datetime) -> date:
    """Today, by the calendar of the school."""
    return now.astimezone(ZoneInfo(school.time_zone)).date()


def owner_of(school: School, line: str) -> tuple[Person | None, Key | None]:
    """Whose key line that is (type and base64), and as what key it is listed; a comment does not matter."""
    for person in school.people.values():
        for key in person.keys:
            if bare(key.line) == bare(line):
                return person, key
    return None, None


def bare(line: str) -> str:
    """A key line without its comment."""
    return " ".join(line.split()[:2])
