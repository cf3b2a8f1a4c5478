"""Partitions as file systems: reached through loop devices, so that the kernel need not know the partition table.

Also what is done to file systems once their cells are proved to be right: made new, made larger, mounted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab_tool import process
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import Found, Slot
from lab_tool.imaging.deploy.trouble import DeployError

# Two programs that look for a free loop device at once may find the same.
_TRIES = 5
# Whoever looked at a file system just now may still have it open for a moment.
_UNMOUNT_TRIES = 20
# An ext4 may say of itself that the kernel is to stop at its first error: nobody could image that PC any more.
_OPTIONS = {"xfs": "noatime,nouuid", "ext4": "noatime,errors=remount-ro"}


@contextmanager
def device_of(disk: Disk, slot: Slot | Found) -> Iterator[Path]:
    """The partition as a device of its own."""
    argv = ["losetup", "--find", "--show", f"--offset={slot.start}", f"--sizelimit={slot.size}"]
    # What is read through it comes from the disk as well.
    argv += ["--direct-io=on", f"--sector-size={disk.sector}", str(disk.path)]
    for left in range(_TRIES, 0, -1):
        done = process.run(argv)
        if done.code == 0:
            break
        if left == 1:
            raise DeployError(f"its partition {slot.name} can't be reached: {done.error_text}", where=str(disk.path))
        time.sleep(0.1)
    loop = done.out.decode("ascii").strip()
    try:
        yield Path(loop)
    finally:
        process.run(["losetup", "--detach", loop])


@contextmanager
def mounted(device: Path, fs: str, *, write: bool = True) -> Iterator[Path]:
    """A Linux file system in a folder of its own; put away when this ends."""
    options = _OPTIONS.get(fs, "noatime") + ("" if write else ",ro")
    # Not a TemporaryDirectory: should the file system stay mounted, that would delete all that is on it.
    folder = tempfile.mkdtemp(prefix="lab-root-")
    try:
        tool(["mount", "-t", fs, "-o", options, str(device), folder], f"its file system ({fs}) can't be mounted")
        try:
            yield Path(folder)
        finally:
            _unmount(folder)
    finally:
        with suppress(OSError):
            Path(folder).rmdir()


def grow(device: Path, fs: str) -> None:
    """Make the file system, which is not mounted, as large as its partition."""
    failed = f"its file system ({fs}) can't be made larger"
    if fs == "ext4":
        # Forced: it asks for a check of what was proved to be what it was when it was made.
        tool(["resize2fs", "-f", str(device)], failed)
    elif fs in ("xfs", "btrfs"):
        with mounted(device, fs) as root:
            how = ["xfs_growfs"] if fs == "xfs" else ["btrfs", "filesystem", "resize", "max"]
            tool([*how, str(root)], failed)


def make_swap(device: Path, uuid: str) -> None:
    """New swap, which has nothing of another's memory in it."""
    named = ["--uuid", uuid] if uuid else []
    tool(["mkswap", *named, str(device)], "swap can't be made")


def make_file_system(device: Path, label: str) -> None:
    """A new ext4."""
    tool(["mkfs.ext4", "-q", "-F", "-L", label, str(device)], f"the partition {label} can't be made")


def is_empty(disk: Disk, slot: Slot) -> bool:
    """Whether nobody ever made a file system there: each has something in its first MiB."""
    return not any(disk.read(slot.start, min(slot.size, 1024 * 1024)))


def uuid_of(device: Path) -> str:
    """The UUID of the file system there."""
    return tool(["blkid", "-p", "-o", "value", "-s", "UUID", str(device)], "a new partition has no UUID").strip()


def tool(argv: Sequence[str], what: str) -> str:
    """What a program printed. Raises `DeployError`, which begins with `what`, when it fails."""
    try:
        done = process.run(argv)
    except FileNotFoundError as error:
        raise DeployError(f"{what}: {argv[0]} is not there", advice="Build the deploy system again") from error
    if done.code:
        raise DeployError(f"{what}: {done.error_text}", where=argv[-1])
    return done.out.decode(errors="replace")


def _unmount(folder: str) -> None:
    for left in range(_UNMOUNT_TRIES, 0, -1):
        done = process.run(["umount", folder])
        if done.code == 0:
            return
        if left == 1:
            raise DeployError(f"its file system can't be put away: {done.error_text}", where=folder)
        time.sleep(0.1)
