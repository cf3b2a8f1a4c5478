"""Which passwords are kept: for whom, how old, whether due. Nothing secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lab_tool.clock import utc_text
from lab_tool.core import password_store as store
from lab_tool.core.identity import local_day
from lab_tool.core.passwords import SHOWN, Policy, age, defaults, readers, why_due
from lab_tool.core.policy import variables_of
from lab_tool.errors import RefusedError
from lab_tool.log.query import Query, find
from lab_tool.school.model import Host, School
from lab_tool.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """One PC. `made` (UTC text) is empty and `age_days` -1 where none is kept; `due` says why, or is empty.

    `readers` can decrypt what is kept; `shown` is when somebody last read it, empty for nobody. `unsure`: a run was cut
    off, and the PC has this password or the one before it.
    """

    host: str
    account: str
    readers: tuple[str, ...]
    made: str
    age_days: int
    due: str
    shown: str
    unsure: bool


def password_rows(settings: Settings, school: School, hosts: tuple[Host, ...], now: datetime) -> list[Row]:
    """A row for each of the PCs, in their order; what a PC itself has is not asked."""
    variables = variables_of(settings, tuple(host.name for host in hosts))
    usual = defaults(settings.project)
    return [_row(settings, school, host.name, Policy.read({**usual, **variables[host.name]}), now) for host in hosts]


def _row(settings: Settings, school: School, host: str, policy: Policy, now: datetime) -> Row:
    kept = store.generations(store.folder_of(settings, host))
    newest = kept[-1] if kept else None
    shown = {
        str(generation): entry.time
        for entry in find(settings.log, Query(kinds=(SHOWN,), host=host))
        for generation in entry.body["intent"]["generations"]
    }
    try:
        due = why_due(newest, policy, readers(school.people, policy, local_day(school, now)), shown, now)
    except RefusedError as refused:
        due = refused.what
    if len(kept) > 1:
        due = due or "a run was cut off"
    if newest is None:
        return Row(host, policy.account, (), "", -1, due, "", False)
    return Row(
        host=host,
        account=newest.account,
        readers=tuple(newest.readers),
        made=utc_text(newest.made),
        age_days=age(newest, now),
        due=due,
        shown=shown.get(newest.id, ""),
        unsure=len(kept) > 1,
    )
