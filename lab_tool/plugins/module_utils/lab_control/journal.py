"""The journal of a control: what each of its items was like before it was first touched."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .definition import Control, Item
from .files import write
from .kind import Json, State

ROOT = Path("/var/lib/lab/lockdown")
FILE = "journal.json"
# How long to wait for others (seconds).
PATIENCE = 300


@dataclass
class Record:
    """One item: what it was before, what had to be made for it, and whether that was told after the act."""

    item: Item
    before: State
    made: Json = field(default_factory=dict)


@dataclass
class Journal:
    """The records of one control in the order of their first touch.

    `since` (ns) orders controls among each other; `unfinished` says that something was touched and the commands that
    make it effective have not all run. They are kept here, since the definition may be gone when it is undone.
    """

    control: str
    since: int = 0
    unfinished: bool = False
    reload: tuple[tuple[str, ...], ...] = ()
    before_undo: tuple[tuple[str, ...], ...] = ()
    restart: tuple[str, ...] = ()
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return ROOT / self.control / FILE

    def about(self, control: Control) -> None:
        """Take over how the control is made effective and undone."""
        self.reload, self.before_undo, self.restart = control.reload, control.before_undo, control.restart

    def save(self) -> None:
        """On the disk when this returns: nothing is touched before its earlier state is."""
        self.since = self.since or time.time_ns()
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ROOT.chmod(0o700)
        told = {
            "v": 1,
            "since": self.since,
            "unfinished": self.unfinished,
            "reload": self.reload,
            "before_undo": self.before_undo,
            "restart": self.restart,
            "records": [
                {
                    "kind": record.item.kind,
                    "target": record.item.target,
                    "wanted": dict(record.item.wanted),
                    "before": dict(record.before),
                    "made": record.made,
                }
                for record in self.records.values()
            ],
        }
        write(self.path, json.dumps(told).encode(), 0o600, 0, 0)

    def forget(self) -> None:
        """Remove it: nothing is left to give back."""
        self.path.unlink(missing_ok=True)
        if self.path.parent.is_dir():
            self.path.parent.rmdir()


def load(control: str) -> Journal:
    """The journal of a control; an empty one if there is none yet. Raises `ValueError` where it can't be read."""
    journal = Journal(control)
    try:
        told = json.loads(journal.path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return journal
    except ValueError as error:
        raise ValueError(f"{journal.path} can't be read: {error}") from None
    try:
        _fill(journal, told)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{journal.path} is no journal: {error}") from None
    return journal


def _fill(journal: Journal, told: Any) -> None:
    journal.since, journal.unfinished = told["since"], told["unfinished"]
    journal.reload = tuple(tuple(line) for line in told["reload"])
    journal.before_undo = tuple(tuple(line) for line in told["before_undo"])
    journal.restart = tuple(told["restart"])
    for record in told["records"]:
        item = Item(record["kind"], record["target"], record["wanted"])
        journal.records[item.key] = Record(item, record["before"], record["made"])


def journals() -> list[Journal]:
    """Of every control that was applied and not undone, the one touched last first."""
    found = [load(path.parent.name) for path in ROOT.glob(f"*/{FILE}")]
    return sorted(found, key=lambda journal: journal.since, reverse=True)


@contextmanager
def alone(*, reads: bool = False) -> Iterator[None]:
    """Nobody else changes controls meanwhile: not the guard, not what a killed run left at work on the PC.

    Who only reads makes no folder. Raises `TimeoutError` when the others don't end.
    """
    if reads and not ROOT.is_dir():
        yield
        return
    ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(ROOT / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"an earlier run was still at work on the PC after {PATIENCE} s") from None
            time.sleep(0.5)
