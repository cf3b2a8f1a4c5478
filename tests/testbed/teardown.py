"""Remove rooms, whole: also half-built ones, and those whose builder was killed. Twice is as good as once."""

from __future__ import annotations

from tests.testbed import cgroups, machine, network, registry, storage
from tests.testbed.registry import Record


def remove(record: Record) -> None:
    """Take a room down. What is found depends only on its number, not on how far its building came."""
    with registry.machine_lock():
        if registry.current(record):
            remove_locked(record)


def remove_locked(record: Record) -> None:
    """`remove`, for who holds the machine lock."""
    cgroups.end(record.place.cgroup)
    network.remove(record.place)
    storage.remove(record.place)
    registry.forget(record)
    if not registry.records():
        cgroups.end(record.place.cgroup.rpartition("/")[0])
        machine.restore()


def reap() -> list[Record]:
    """Take down every room whose builder ended without doing so; those rooms. Hold the machine lock."""
    abandoned = [record for record in registry.records() if record.abandoned]
    for record in abandoned:
        remove_locked(record)
    return abandoned
