"""Apply, check and undo whole controls."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from .definition import Check, Control, Item
from .files import BlockKind, PathKind
from .journal import Journal, Record, load
from .kind import LONGEST, Kind, ProgramError, Run, must
from .system import AccountKind, MembersKind, ModuleKind, PackageKind, SysctlKind, UnitKind

KINDS: dict[str, Kind] = {
    "account": AccountKind(),
    "block": BlockKind(),
    "members": MembersKind(),
    "module": ModuleKind(),
    "package": PackageKind(),
    "path": PathKind(),
    "sysctl": SysctlKind(),
    "unit": UnitKind(),
}
UNIT_FOLDERS = ("/etc/systemd/", "/usr/local/lib/systemd/")
TROUBLE = (OSError, ProgramError, KeyError, ValueError)
# Exit codes of `timeout` and of what it ended: the program said nothing, and a check by what it lacks proves nothing.
SILENT = (124, 125, 127, 137)


@dataclass
class Result:
    """What became of a control: what was changed (or would be), what is wrong, what can't be had here."""

    changed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def apply(control: Control, run: Run, *, check: bool = False) -> Result:
    """Make the control so, or only say what would be changed. What fails stands in `wrong`; the rest is done."""
    result = Result()
    journal = load(control.id)
    wanted = {item.key for item in control.items}
    stale = [record for key, record in journal.records.items() if key not in wanted]
    journal.about(control)
    for record in reversed(stale):
        _give_back(record, journal, result, run, check=check)
    for item in control.items:
        with _told(result, item.key):
            _item(item, journal, result, run, check=check)
    if not check and journal.unfinished:
        _make_effective(journal, result, run)
        with _told(result, "journal"):
            journal.save()
    if not (check and result.changed):
        result.wrong += [text for text in (_unmet(test, run) for test in control.checks) if text]
    return result


def inspect(control: Control, run: Run) -> Result:
    """What of the control is not so, in `wrong`; nothing is changed."""
    result = apply(control, run, check=True)
    wrong = [f"not as set: {key}" for key in result.changed]
    if result.changed:
        wrong += [text for text in (_unmet(test, run) for test in control.checks) if text]
    return Result([], [*wrong, *result.wrong], result.notes)


def undo(journal: Journal, run: Run, *, check: bool = False) -> Result:
    """Give back what was before, item by item, the last first; the journal keeps what could not be given back.

    A full disk does not keep it from taking away what it can: a journal that could not be shortened is gone through
    once more by the next undo, which changes nothing then.
    """
    result = Result()
    if not check:
        journal.unfinished = True
        _save(journal)
        for argv in journal.before_undo:
            with _told(result, argv[0]):
                must(run, *argv)
    # Units stop before their files go, and those that ran before start with their files back.
    units = [record for record in journal.records.values() if record.item.kind == "unit"]
    for record in reversed(units):
        if not check:
            with _told(result, record.item.key):
                _quiet(record, run)
    others = [record for record in journal.records.values() if record.item.kind != "unit"]
    for record in [*reversed(others), *units]:
        _give_back(record, journal, result, run, check=check)
    if check:
        return result
    _make_effective(journal, result, run)
    with _told(result, "journal"):
        if journal.records:
            journal.save()
        else:
            journal.forget()
    return result


def _item(item: Item, journal: Journal, result: Result, run: Run, *, check: bool) -> None:
    kind = KINDS[item.kind]
    if item.kind == "unit" and not check and journal.unfinished:
        must(run, "systemctl", "daemon-reload")
    state = kind.read(run, item.target, item.wanted)
    if kind.holds(item.target, item.wanted, state):
        note = kind.note(item.target, item.wanted, state)
        result.notes += [f"{item.key}: {note}"] if note else []
        return
    result.changed.append(item.key)
    if check:
        return
    if item.key not in journal.records:
        journal.records[item.key] = Record(item, state)
    journal.unfinished = True
    journal.save()
    made = kind.apply(run, item.target, item.wanted, state)
    if made and not journal.records[item.key].made:
        journal.records[item.key].made = made
        journal.save()
    state = kind.read(run, item.target, item.wanted)
    if not kind.holds(item.target, item.wanted, state):
        result.wrong.append(f"{item.key}: is not so after the act")
    note = kind.note(item.target, item.wanted, state)
    result.notes += [f"{item.key}: {note}"] if note else []


def _give_back(record: Record, journal: Journal, result: Result, run: Run, *, check: bool) -> None:
    key = record.item.key
    result.changed.append(f"{key} (undone)")
    if check:
        return
    with _told(result, key):
        journal.unfinished = True
        _save(journal)
        KINDS[record.item.kind].restore(run, record.item.target, record.before, record.made)
        del journal.records[key]
        _save(journal)


def _save(journal: Journal) -> None:
    """Where the disk is full, go on: taking away is what helps then. At the end it is saved loudly."""
    with suppress(OSError):
        journal.save()


def _quiet(record: Record, run: Run) -> None:
    """Stop and disable what was not there before, while its files are."""
    now = KINDS["unit"].read(run, record.item.target, {})
    if now["active"] and not record.before["active"]:
        must(run, "systemctl", "stop", "--", record.item.target)
    if now["enabled"].startswith("enabled") and not record.before["enabled"].startswith("enabled"):
        must(run, "systemctl", "disable", "--", record.item.target)


def _make_effective(journal: Journal, result: Result, run: Run) -> None:
    """What was touched takes effect, also what an earlier run was cut off before."""
    before = len(result.wrong)
    with _told(result, "systemctl"):
        must(run, "systemctl", "daemon-reload")
    for argv in journal.reload:
        with _told(result, argv[0]):
            must(run, *argv)
    for unit in journal.restart:
        with _told(result, f"unit {unit}"):
            # After an undo it may be gone.
            if KINDS["unit"].read(run, unit, {})["there"]:
                must(run, "systemctl", "try-restart", "--", unit)
    if len(result.wrong) == before:
        journal.unfinished = False


def _unmet(check: Check, run: Run) -> str:
    """Why the check is not met; empty if it is."""
    try:
        code, out, err = run(check.run)
    except OSError as error:
        code, out, err = 127, "", str(error.strerror)
    text = out + err
    met = (
        (check.rc is None or code == check.rc)
        and (not check.contains or re.search(check.contains, text) is not None)
        and (not check.lacks or re.search(check.lacks, text) is None)
        and (code not in SILENT or code == check.rc)
    )
    return "" if met else check.why


@contextmanager
def _told(result: Result, what: str) -> Iterator[None]:
    """What fails is told, and does not keep the rest from being done."""
    try:
        yield
    except TROUBLE as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        result.wrong.append(f"{what}: {text[:LONGEST]}{where}")
        # Whatever it was, a full disk leaves nothing half-written: files are replaced whole.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            result.notes.append("disk full")


def pending(controls: Sequence[Control], run: Run) -> list[str]:
    """The controls that applying would change."""
    return [control.id for control in controls if apply(control, run, check=True).changed]
