"""The outcome of a PC from the values read back from it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAMED = 3


@dataclass(frozen=True)
class Circumstances:
    """What the play knows: a failure, a reason to leave the PC alone, why signatures could not be fetched."""

    check: bool
    failure: str
    deferred: str
    fetch_trouble: str


def judge(scan: dict[str, Any], stale: str, unsafe: Sequence[str], circumstances: Circumstances) -> tuple[str, str]:
    """`ok`, `deferred` or `failed`, and the reason. `scan`: the report, empty for none; `stale`: why the signatures are
    not good; `unsafe`: finds that are not safely put away.

    Finds that are in quarantine are ok, and named; clean is only what was scanned whole, by good signatures.
    """
    outcome, reason = _judge(scan, stale, unsafe, circumstances)
    return outcome, "; ".join(filter(None, (reason, *_said_besides(scan, unsafe, circumstances))))


def _judge(scan: dict[str, Any], stale: str, unsafe: Sequence[str], circumstances: Circumstances) -> tuple[str, str]:
    if circumstances.failure:
        return "failed", circumstances.failure
    if circumstances.deferred:
        return "deferred", circumstances.deferred
    if circumstances.check:
        return "ok", f"would scan{'; at present ' + stale if stale else ''}"
    if unsafe:
        return "failed", f"found, and not put away: {_names(unsafe)}"
    if not scan:
        return "failed", "nothing was scanned"
    if stale:
        return "failed", stale
    if scan["trouble"]:
        return "failed", scan["trouble"]
    unreadable = scan["unreadable"]
    if unreadable["count"]:
        return "failed", f"{_count(unreadable['count'], 'file')} could not be scanned: {unreadable['some'][0]}"
    if not scan["complete"]:
        done = _count(scan["before"] + scan["files"], "file")
        return "deferred", f"the time was up after {done}; the next scan goes on there"
    return "ok", ""


def _said_besides(scan: dict[str, Any], unsafe: Sequence[str], circumstances: Circumstances) -> list[str]:
    said = []
    safe = [find for find in scan.get("found", ()) if find["quarantine"]]
    if safe and not unsafe:
        said.append(f"{len(safe)} found and quarantined: {_names([name(find) for find in safe])}")
    if circumstances.fetch_trouble and not circumstances.failure:
        said.append(f"signatures could not be fetched: {circumstances.fetch_trouble}")
    return said


def name(find: dict[str, Any]) -> str:
    """A find in a few words."""
    return f"{find['signature']} in {find['path']}"


def _names(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
