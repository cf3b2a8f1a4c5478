"""A host's disk: copy-on-write on the shared root file system; what it writes is held in one of limited size."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.testbed.places import HostPlace, RoomPlace
from tests.testbed.programs import run


def create(place: HostPlace, base: Path, size: int) -> None:
    """Give a host a disk on `base` on which it can write `size` bytes. Memory is used as it is written."""
    place.disk.mkdir(parents=True)
    place.root.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", f"testbed:{place.netns}", place.disk)
    upper, work = place.disk / "upper", place.disk / "work"
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "-o", options, f"testbed:{place.netns}", place.root)


def mounted(room: RoomPlace) -> list[Path]:
    """What is mounted for a room, the last mount first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(room.mounts):
            points.append(point)
    return points[::-1]


def remove(room: RoomPlace) -> None:
    """Unmount and delete all disks of a room. Its processes must have ended."""
    for point in mounted(room):
        # Lazily: after a power-off the kernel may hold a reference for another instant; it goes with that.
        run("umount", "--lazy", point)
    shutil.rmtree(room.mounts, ignore_errors=True)
