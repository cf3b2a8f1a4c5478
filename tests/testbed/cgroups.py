"""Control groups: which processes belong to a host, and how they end at once.

Membership is the kernel's own record, so that ending a host never depends on a process id that may have been recycled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.testbed.errors import RoomError

_ROOT = Path("/sys/fs/cgroup")


def unified() -> Path | None:
    """The cgroup2 hierarchy of this machine: the only one, or beside the old ones; None when there is none."""
    for folder in (_ROOT, _ROOT / "unified"):
        if (folder / "cgroup.controllers").exists():
            return folder
    return None


def _hierarchies() -> list[Path]:
    """Where a host needs a group: cgroup2 first, and systemd's old named hierarchy where that exists."""
    first = unified()
    if first is None:
        raise RoomError(f"no cgroup2 file system at {_ROOT}")
    return [first, *(folder for folder in (_ROOT / "systemd",) if first != _ROOT and folder.is_dir())]


def create(group: str) -> list[Path]:
    """Make a group (as `lab-testbed/3/7`) and those above it; its folders in all hierarchies."""
    folders = [hierarchy / group for hierarchy in _hierarchies()]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def members(group: str) -> Iterator[int]:
    """Process ids in a group and all below it."""
    for folder, _, _ in os.walk(_hierarchies()[0] / group):
        with suppress(OSError):
            yield from map(int, Path(folder, "cgroup.procs").read_text(encoding="ascii").split())


def end(group: str, patience: float = 30.0) -> None:
    """Kill all processes of a group and remove it; no error when it is not there.

    Raises `RoomError` when a process is still there after `patience` seconds (stuck in the kernel).
    """
    limit = time.monotonic() + patience
    folders = [hierarchy / group for hierarchy in _hierarchies()]
    while any(folder.exists() for folder in folders):
        # Again and again: a process may have joined between the kill and the removal.
        with suppress(OSError):
            (folders[0] / "cgroup.kill").write_text("1", encoding="ascii")
        for folder in folders:
            _remove(folder)
        if time.monotonic() > limit:
            raise RoomError(f"processes {list(members(group))} of {group} don't end")
        time.sleep(0.01)


def _remove(folder: Path) -> None:
    """Remove a group with those below it, as far as they are empty."""
    for child, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(child).rmdir()
