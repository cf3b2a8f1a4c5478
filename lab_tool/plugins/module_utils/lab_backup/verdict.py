"""The outcome of a backup from what was read back out of the repositories; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reading:
    """One repository as read back. `snapshot`: this run's id there, empty for none; `trouble`: why it can't be read."""

    name: str
    snapshot: str
    trouble: str = ""
    future: Sequence[str] = field(default_factory=tuple)
    unchecked: str = ""


def judge(act: Mapping[str, Any], readings: Sequence[Reading], failure: str, *, check: bool) -> tuple[str, str]:
    """`ok` or `failed`, and the reason. Only what every repository holds is ok."""
    if failure:
        return "failed", failure
    wrong = list(act.get("troubles", ())) if not check else []
    done = act.get("places", {})
    for reading in readings:
        why = _wrong(reading, done.get(reading.name, {}), check=check)
        wrong += [f"{reading.name}: {text}" for text in why]
    if wrong:
        good = [f"{one.name} has {one.snapshot[:8]}" for one in readings if one.snapshot]
        return "failed", "; ".join(wrong) + (f" ({', '.join(good)})" if good and not check else "")
    if len(readings) < 2:
        return "failed", "fewer than two repositories were read"
    return "ok", f"would be saved into {' and '.join(one.name for one in readings)}" if check else ""


def _wrong(reading: Reading, act: Mapping[str, Any], *, check: bool) -> list[str]:
    if reading.trouble:
        return [reading.trouble]
    found = []
    if reading.future:
        found.append(f"snapshots dated in the future: {', '.join(reading.future[:5])}")
    if check:
        return found
    if not reading.snapshot:
        return [*found, str(act.get("trouble") or "this run's snapshot is not there")]
    if act.get("unreadable"):
        found.append(f"{act['unreadable']} files could not be read")
    if not act.get("files"):
        found.append("this run's snapshot holds no files")
    if reading.unchecked:
        found.append(reading.unchecked)
    return found
