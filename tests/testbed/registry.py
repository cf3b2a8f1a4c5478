"""Every room of this machine, and whose it is: one record per room, written before anything of the room exists."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.testbed import places
from tests.testbed.errors import RoomError
from tests.testbed.owner import Owner
from tests.testbed.places import RoomPlace

_LAST = places.RUN / "last"


@dataclass(frozen=True, slots=True)
class Record:
    """A room: its number, name, folder, and its hosts' names by seat. A room without owner stays until taken down.

    `id` tells it from an earlier or later room of the same number.
    """

    id: str
    slot: int
    name: str
    folder: Path
    hosts: dict[int, str]
    owner: Owner | None

    @property
    def place(self) -> RoomPlace:
        """Its names on this machine."""
        return RoomPlace(self.slot)

    @property
    def abandoned(self) -> bool:
        """Whether its builder ended without taking it down."""
        return self.owner is not None and not self.owner.alive


@contextmanager
def machine_lock() -> Iterator[None]:
    """One process at a time numbers rooms, removes them, or changes settings of this machine. Not re-entrant."""
    # Root in a host is root here: no other account of this machine gets at programs that a host makes setuid.
    places.RUN.mkdir(exist_ok=True)
    places.RUN.chmod(0o700)
    places.RECORDS.mkdir(exist_ok=True)
    handle = os.open(places.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def reserve(name: str, folder: Path, hosts: dict[int, str]) -> Record:
    """Take a number for a room of this process. Hold `machine_lock`.

    Raises `RoomError` when all are taken, or another room has that folder.
    """
    others = records()
    if any(record.folder == folder for record in others):
        raise RoomError(f"{folder} is another room's folder; python -m tests.testbed list shows it")
    taken = {record.slot for record in others}
    # Not the lowest free one: whoever still talks to a room just removed must not meet the next one's hosts.
    last = int(_LAST.read_text(encoding="ascii")) if _LAST.exists() else -1
    free = next((slot for step in range(places.ROOMS) if (slot := (last + 1 + step) % places.ROOMS) not in taken), None)
    if free is None:
        raise RoomError(f"all {places.ROOMS} rooms of this machine are taken; python -m tests.testbed list shows them")
    record = Record(uuid.uuid4().hex, free, name, folder, hosts, Owner.me())
    _write(record)
    _LAST.write_text(f"{free}\n", encoding="ascii")
    return record


def keep(record: Record) -> Record:
    """Let a room outlive its builder."""
    kept = replace(record, owner=None)
    _write(kept)
    return kept


def records() -> list[Record]:
    """All rooms of this machine, by number."""
    if not places.RECORDS.is_dir():
        return []
    found = (_read(path) for path in places.RECORDS.glob("*.json"))
    return sorted((record for record in found if record), key=lambda record: record.slot)


def current(record: Record) -> bool:
    """Whether the room of that number is still this one."""
    there = _read(record.place.record)
    return there is not None and there.id == record.id


def forget(record: Record) -> None:
    """Delete the record: nothing of the room is left."""
    record.place.record.unlink(missing_ok=True)


def _read(path: Path) -> Record | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    owner = Owner(**fields["owner"]) if fields["owner"] else None
    hosts = {int(seat): name for seat, name in fields["hosts"].items()}
    return Record(fields["id"], fields["slot"], fields["name"], Path(fields["folder"]), hosts, owner)


def _write(record: Record) -> None:
    """Whole or not at all: a record half written would hide a room."""
    path = record.place.record
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record), default=str), encoding="utf-8")
    draft.replace(path)
