"""Making a plan that is on record, and what a check of it found on the PCs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lab_tool.core.gate import require_grant
from lab_tool.core.identity import identify, local_day
from lab_tool.core.overrides import parse_overrides
from lab_tool.core.people_watch import record_people
from lab_tool.core.plan import Plan, keep_plan, make_plan
from lab_tool.errors import UsageError
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import School
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
) -> Plan:
    """Make a plan for what was typed (`overrides` are KEY=VALUE texts), keep it, and record who made it, signed.

    Raises `UsageError` for what makes no sense, `RefusedError` for those who may neither request nor run it.
    """
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb!r}; there are {', '.join(VERBS)}", next_command="lab plan --help")
    person = identify(school, key, local_day(school, clock()))
    chosen = select_hosts(school, rooms, hosts)
    require_grant(person, ("request", "run"), verb, frozenset(host.room for host in chosen))
    values = parse_overrides(settings.project, VERBS[verb], overrides)
    plan = make_plan(settings, school, verb, tuple(host.name for host in chosen), values)
    signature = sign(plan.signed, key, PLAN_NAMESPACE)
    record_people(settings, school, clock)
    keep_plan(settings, plan)
    subject = Subject("", "", plan.asked, plan.rooms, VERBS[verb].rules)
    body = {"digest": plan.digest, **plan.as_json(), "signature": signature, "key": public_line(key)}
    LogStore(settings.log, clock).append(actor=person.id, kind="plan.made", subject=subject, body=body)
    return plan


def differences(settings: Settings, run: str) -> dict[str, tuple[str, ...]]:
    """What the check found to be changed on each PC, a line each, from the entries of that run."""
    found: dict[str, list[str]] = {}
    for entry in find(settings.log, Query(run=run, kinds=("task.changed", "evidence.read"))):
        lines = _evidence(entry.body) if entry.kind == "evidence.read" else _task(entry.body)
        for host in entry.subject.hosts:
            found.setdefault(host, []).extend(lines)
    return {host: tuple(lines) for host, lines in found.items()}


def _task(body: Mapping[str, Any]) -> list[str]:
    """The task, and what the recorder kept of its difference (no contents of files)."""
    result = body.get("result", {})
    path = result.get("path") or result.get("dest")
    lines = [f"{body['task']}: {path}" if path else str(body["task"])]
    for part in (result, *result.get("items", ())):
        for difference in part.get("diff", ()):
            lines += [f"  {line}" for line in _difference(difference)]
    return lines


def _difference(part: Mapping[str, Any]) -> Iterator[str]:
    if "packages" in part:
        yield from (line.strip() for line in str(part["packages"]).splitlines() if line.strip())
    elif "lines_before" in part:
        yield f"lines: {part['lines_before']} -> {part['lines_after']}"
    else:
        before, after = part.get("before", {}), part.get("after", {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield f"{name}: {before.get(name, '-')} -> {after.get(name, '-')}"


def _evidence(body: Mapping[str, Any]) -> list[str]:
    """What is still to be done by what was read back: packages and their versions."""
    pending = body["evidence"].get("values", {}).get("pending", {})
    if not isinstance(pending, Mapping):
        return []
    return [
        f"  {name}: {step.get('installed') or '-'} -> {step.get('available', '?')}" for name, step in pending.items()
    ]
