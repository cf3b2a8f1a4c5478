"""Local administrators' passwords: who may read them, and when one is due to be replaced."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from lab_tool import secret
from lab_tool.core.identity import bare
from lab_tool.core.password_store import Generation, digest
from lab_tool.errors import LabError, RefusedError
from lab_tool.log.query import Query, find
from lab_tool.school.model import Person
from lab_tool.signature import valid_on

VERB = "admin_password"
SHOWN = "password.shown"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the role is told: the account, days until a password is due, who may read it, and how many at least."""

    account: str
    period: int
    holders: tuple[str, ...]
    least: int

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Policy:
        """From the role's inputs by their names."""
        return cls(
            account=str(values[f"{VERB}_account"]),
            period=int(values[f"{VERB}_period"]),
            holders=tuple(str(holder) for holder in values[f"{VERB}_holders"]),
            least=int(values[f"{VERB}_least_holders"]),
        )


def defaults(project: Path) -> dict[str, Any]:
    """The role's inputs where a school says nothing else."""
    values: dict[str, Any] = yaml.safe_load((project / f"roles/{VERB}/defaults/main.yml").read_text(encoding="utf-8"))
    return values


def readers(people: Mapping[str, Person], policy: Policy, today: date) -> dict[str, tuple[str, ...]]:
    """The key lines to encrypt to, by person: those of holders who are still in office, with keys that count today.

    Raises `RefusedError` for a holder nobody knows, and where fewer than the least would be left.
    """
    where = "admin_password_holders"
    unknown = [holder for holder in policy.holders if holder not in people]
    if unknown:
        raise RefusedError(f"{', '.join(unknown)}: not in inventory/people.yml", where=where)
    found = {holder: _lines(people[holder], today) for holder in sorted(set(policy.holders))}
    found = {holder: lines for holder, lines in found.items() if lines}
    if len(found) < policy.least:
        named = ", ".join(found) or "nobody"
        raise RefusedError(
            f"only {named} could read the password, and {policy.least} must be able to: holders need a right in "
            "people.yml and an ssh-ed25519 or ssh-rsa key that counts today",
            where=where,
        )
    return found


def _lines(person: Person, today: date) -> tuple[str, ...]:
    """None for those who left: they stay listed, with a last day or without any right."""
    grants = (person.request, person.approve, person.run, person.emergency)
    if person.service or not any(grant.verbs for grant in grants):
        return ()
    keys = (key for key in person.keys if valid_on(key, today))
    return tuple(sorted(bare(key.line) for key in keys if secret.can_read(key.line)))


def why_due(
    kept: Generation | None, policy: Policy, who: Mapping[str, Sequence[str]], shown: Collection[str], now: datetime
) -> str:
    """Why the password is to be replaced; empty when it isn't. `kept` is the one the PC has, `who` as `readers` says,
    `shown` are the generations that somebody has read.
    """
    if kept is None:
        return "none is kept yet"
    if kept.account != policy.account:
        return f"the account was {kept.account}"
    if kept.id in shown:
        return "it was shown"
    if {person: tuple(lines) for person, lines in who.items()} != dict(kept.readers):
        return "who may read it has changed"
    if now - kept.made >= timedelta(days=policy.period):
        return f"it is {age(kept, now)} days old"
    if now < kept.made - timedelta(hours=1):
        return "it is from the future: the clock was wrong then or is wrong now"
    return ""


def age(kept: Generation, now: datetime) -> int:
    """In whole days."""
    return max((now - kept.made).days, 0)


def shown_generations(log: Path, host: str) -> set[str]:
    """Those of a PC that somebody has read, by the log."""
    entries = find(log, Query(kinds=(SHOWN,), host=host))
    return {str(generation) for entry in entries for generation in entry.body["intent"]["generations"]}


def make(policy: Policy, who: Mapping[str, Sequence[str]], now: datetime) -> tuple[Generation, bytes, str]:
    """A new password: what is known of it, encrypted for its readers, and as the PC is to hold it; it is kept nowhere.

    Raises `LabError` when a program that is needed fails or is missing.
    """
    password = secret.new_password()
    hashed = secret.crypt_hash(password)
    data = secret.encrypt(password, [line for lines in who.values() for line in lines])
    if password.encode() in data:
        raise LabError("age did not encrypt")
    generation = Generation(
        id=f"g-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
        account=policy.account,
        made=now,
        readers={person: tuple(lines) for person, lines in who.items()},
        fingerprint=digest(hashed.encode()),
        ciphertext=digest(data),
    )
    return generation, data, hashed
