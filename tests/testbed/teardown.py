"""Remove rooms, whole: also half-built ones, and those whose builder was killed. Twice is as good as once."""

from __future__ import annotations

from tests.testbed import cgroups, machine, network, registry, storage
from tests.testbed.folder import RoomFolder
from tests.testbed.registry import Record


def remove(record: Record, *, keep_consoles: bool = False) -> None:
    """Take a room down. What is found depends only on its number, not on how far its building came.

    Of its folder goes what the room wrote there (but `keep_consoles`, to see why it failed), and the folder once empty.
    """
    with registry.machine_lock():
        if registry.current(record):
            _remove(record, keep_consoles=keep_consoles)


def _remove(record: Record, *, keep_consoles: bool = False) -> None:
    cgroups.end(record.place.cgroup)
    network.remove(record.place)
    storage.remove(record.place)
    RoomFolder(record.folder).clear(keep_consoles=keep_consoles)
    registry.forget(record)
    if not registry.records():
        cgroups.end(record.place.cgroup.rpartition("/")[0])
        machine.restore()


def reap() -> list[Record]:
    """Take down every room whose builder ended without doing so; those rooms. Hold the machine lock."""
    abandoned = [record for record in registry.records() if record.abandoned]
    for record in abandoned:
        _remove(record)
    return abandoned
