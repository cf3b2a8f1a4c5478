"""The outcome of a PC from the values read back from it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .lists import MAX_AGE

NAMED = 5


@dataclass(frozen=True)
class Reading:
    """What was read back. `lists_age` is seconds, or -1 for never fetched; `reboot` says why one is needed."""

    pending: Sequence[str]
    kept_back: Sequence[str]
    broken: Sequence[str]
    unfinished: Mapping[str, str]
    has_scope: bool
    lists_age: int
    expired: Sequence[str]
    restarts_known: bool
    reboot: Sequence[str]


@dataclass(frozen=True)
class Circumstances:
    """What the play knows: a failure or a reason to leave the PC alone (both may be empty), and about rebooting."""

    check: bool
    failure: str
    deferred: str
    reboot_refused: str
    rebooted: bool


def judge(reading: Reading, circumstances: Circumstances) -> tuple[str, str]:
    """`ok`, `deferred` or `failed`, and the reason. Only what is up to date, and runs what is installed, is ok."""
    if circumstances.failure:
        return "failed", circumstances.failure
    if circumstances.deferred:
        return "deferred", circumstances.deferred
    trouble = _trouble(reading)
    if trouble:
        return "failed", trouble
    due = "; ".join(reading.reboot)
    unfinished = [f"{name} ({state})" for name, state in reading.unfinished.items()]
    if circumstances.check:
        would = [f"dpkg would finish {names(unfinished)}"] if unfinished else []
        would += [f"{count(reading.pending)} would be installed"] if reading.pending else []
        # Of what runs from replaced files now, much would be restarted.
        would += [f"a restart or reboot is due: {due}"] if due else []
        return "ok", "; ".join(would)
    if unfinished:
        return "failed", f"dpkg is not finished with {names(unfinished)}"
    if reading.pending:
        return "failed", f"{count(reading.pending)} still pending: {names(reading.pending)}"
    if not reading.restarts_known:
        return "failed", "needrestart did not say which services run from replaced files"
    if due and circumstances.rebooted:
        return "failed", f"reboot required: {due} (even after one)"
    if due:
        refused = f" ({circumstances.reboot_refused})" if circumstances.reboot_refused else ""
        return "deferred", f"reboot required: {due}{refused}"
    return "ok", ""


def _trouble(reading: Reading) -> str:
    """What makes every other value worthless, or can't be mended by another run."""
    if not reading.has_scope:
        return "no source of updates in scope is set up, so nothing can be said about pending ones"
    if reading.lists_age < 0:
        return "the package lists were never fetched completely"
    if reading.lists_age > MAX_AGE:
        return f"the package lists are {reading.lists_age // 3600} hours old"
    if reading.expired:
        return f"expired package lists: {names(reading.expired)}"
    if reading.broken:
        return f"installed without what they need: {names(reading.broken)}"
    if reading.kept_back:
        return f"kept back, since it would remove or move something else: {names(reading.kept_back)}"
    return ""


def count(items: Sequence[str]) -> str:
    """`1 update`, `2 updates`."""
    return f"{len(items)} update" + ("" if len(items) == 1 else "s")


def names(items: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(items) - NAMED
    return ", ".join(sorted(items)[:NAMED]) + (f" and {more} more" if more > 0 else "")
