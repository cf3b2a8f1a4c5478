"""Making a plan that is on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from lab_tool.core.gate import require_may_plan
from lab_tool.core.identity import identify, local_day
from lab_tool.core.overrides import parse_overrides
from lab_tool.core.people_watch import record_people
from lab_tool.core.plan import Plan, keep_plan, make_plan
from lab_tool.errors import UsageError
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Person, School
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings
from lab_tool.signature import public_line, sign

PLAN_NAMESPACE = "lab-plan"


def plan_on_record(
    settings: Settings,
    school: School,
    verb: str,
    rooms: Sequence[str],
    hosts: Sequence[str],
    overrides: Sequence[str],
    key: Path,
    clock: Callable[[], datetime],
    before: Callable[[Plan, Person], None] = lambda plan, person: None,
) -> Plan:
    """Make a plan for what was typed (`overrides` are KEY=VALUE texts), keep it, and record who made it, signed.

    `before` is called with it and whoever made it, just before it is on record.

    Raises `UsageError` for what makes no sense, `RefusedError` for those who may neither request nor run it.
    """
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}", next_command="lab plan --help")
    person = identify(school, key, local_day(school, clock()))
    chosen = select_hosts(school, rooms, hosts)
    require_may_plan(person, verb, frozenset(host.room for host in chosen))
    if VERBS[verb].reads and overrides:
        # Its rehearsal is the real thing and counts: nobody alone says by which standard a PC is measured.
        raise UsageError(f"{verb} goes by the inventory alone", next_command=f"less roles/{verb}/README.md")
    values = parse_overrides(settings.project, VERBS[verb], overrides)
    plan = make_plan(settings, school, verb, tuple(host.name for host in chosen), values)
    signature = sign(plan.signed, key, PLAN_NAMESPACE)
    record_people(settings, school, clock)
    before(plan, person)
    keep_plan(settings, plan)
    subject = Subject("", "", plan.asked, plan.rooms, VERBS[verb].rules)
    body = {"digest": plan.digest, **plan.as_json(), "signature": signature, "key": public_line(key)}
    LogStore(settings.log, clock).append(actor=person.id, kind="plan.made", subject=subject, body=body)
    return plan
