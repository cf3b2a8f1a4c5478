"""All rooms of this machine: what the command does with them beyond building one for a process of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.testbed import registry, teardown
from tests.testbed.errors import RoomError
from tests.testbed.host import TestHost
from tests.testbed.interruption import uninterrupted
from tests.testbed.room import TestRoom, build_room, room_of


def every_room() -> list[TestRoom]:
    """All rooms, those of other processes included."""
    return [room_of(record) for record in registry.records()]


def build_to_stay(name: str, count: int, folder: Path, first: int, disk: int) -> TestRoom:
    """Build a room that outlives this process. Raises `RoomError`, also when one of that name stays already."""
    if any(room.name == name and room.record.owner is None for room in every_room()):
        raise RoomError(f"there is a room {name}; python -m tests.testbed down {name} removes it")
    room = build_room(name, count, folder, first, disk=disk)
    with uninterrupted():
        return replace(room, record=registry.keep(room.record))


def find_host(name: str) -> TestHost:
    """The host called `NAME` or `ROOM/NAME`; raises `RoomError` when there is none, or more than one."""
    wanted_room, _, wanted = name.rpartition("/")
    found = {
        f"{room.name}/{host.name}": host
        for room in every_room()
        for host in room.hosts
        if host.name == wanted and wanted_room in ("", room.name)
    }
    if not found:
        raise RoomError(f"no host {name}; python -m tests.testbed list shows those there are")
    if len(found) > 1:
        raise RoomError(f"{name} is one of {', '.join(found)}")
    return next(iter(found.values()))


def take_down(name: str | None, *, force: bool) -> tuple[list[TestRoom], list[TestRoom]]:
    """Remove the rooms of that name (None: all); those removed, and those left because a living process has them.

    Raises `RoomError` when there is no such room, or the only one is in use.
    """
    removed, left = [], []
    for room in every_room():
        if name not in (None, room.name):
            continue
        if room.record.owner and room.record.owner.alive and not force:
            left.append(room)
            continue
        with uninterrupted():
            teardown.remove(room.record)
        removed.append(room)
    if name is not None and not removed:
        pids = ", ".join(str(room.record.owner.pid) for room in left if room.record.owner)
        raise RoomError(f"room {name} is in use by process {pids}; --force removes it" if left else f"no room {name}")
    return removed, left
