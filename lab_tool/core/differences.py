"""What is different on each PC after a run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab_tool.log.query import Query, find
from lab_tool.settings import Settings


def differences(settings: Settings, run: str) -> dict[str, tuple[str, ...]]:
    """What a run changed on each PC, or a rehearsal would change, a line each, from the entries of that run."""
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
    lines += [f"  {line}" for line in result.get("changes", ())]
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
    """Packages and versions by what was read back: what was updated, and what is still to be done."""
    values = body["evidence"].get("values", {})
    updated, pending = _steps(values.get("updated")), _steps(values.get("pending"))
    return [
        *(f"  {name}: {step.get('before') or '-'} -> {step.get('after', '?')}" for name, step in updated),
        *(f"  {name}: {step.get('installed') or '-'} -> {step.get('available', '?')}" for name, step in pending),
    ]


def _steps(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Of what a PC sent, what can be shown."""
    steps = value.items() if isinstance(value, Mapping) else ()
    return [(name, step) for name, step in steps if isinstance(step, Mapping)]
