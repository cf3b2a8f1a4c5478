"""What is mounted where, and what of it is a disk of the PC: neither a pseudo file system nor somebody's network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = "/proc/self/mountinfo"
# Only what is named here is scanned: a new kind of network file system must not be entered for want of a name.
_LOCAL = (
    "bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus iso9660 jfs msdos ntfs ntfs3 overlay "
    "reiserfs squashfs tmpfs udf vfat xfs zfs"
)
LOCAL = frozenset(_LOCAL.split())
# Their subvolumes have device numbers that stand in no list of mounts.
WITH_SUBVOLUMES = frozenset({"bcachefs", "btrfs"})
_NEVER = (b"/proc", b"/sys")
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mount point, its kind, its device."""

    point: bytes
    kind: str
    device: int


class Mounts:
    """The mounts of now; read again where something unknown turns up."""

    def __init__(self, path: str = MOUNTINFO) -> None:
        self._path = path
        self._read()

    def _read(self) -> None:
        self.all = list(parse(Path(self._path).read_bytes()))
        # What was mounted last on a point is what is seen there.
        self._at = {mount.point: mount for mount in self.all}
        self._kinds = {mount.device: mount.kind for mount in self.all}

    def is_foreign(self, point: bytes) -> bool:
        """Whether a file system that must not be entered is mounted exactly there."""
        mount = self._at.get(point)
        return mount is not None and mount.kind not in LOCAL

    def kind(self, device: int) -> str:
        """The kind of file system on a device, or empty."""
        if device not in self._kinds:
            self._read()
        return self._kinds.get(device, "")

    def may_cross(self, above: int, below: int) -> bool:
        """Whether a folder on device `below` in one on device `above` may be entered."""
        if above == below:
            return True
        kind = self.kind(below)
        return kind in LOCAL or (not kind and self.kind(above) in WITH_SUBVOLUMES)

    def whole_disk(self) -> list[bytes]:
        """Where a scan of everything begins: the root, and disks that lie below what is not entered (/dev/shm)."""
        cut_off = [
            mount.point
            for mount in self._at.values()
            if mount.kind in LOCAL and not _below(mount.point, _NEVER) and self._is_cut_off(mount.point)
        ]
        return [b"/", *cut_off]

    def _is_cut_off(self, point: bytes) -> bool:
        above = point.rpartition(b"/")[0]
        while above:
            if self.is_foreign(above):
                return True
            above = above.rpartition(b"/")[0]
        return False


def parse(text: bytes) -> Iterable[Mount]:
    """The mounts in the kernel's list (proc(5))."""
    for line in text.splitlines():
        before, _, after = line.partition(b" - ")
        fields = before.split()
        major, minor = fields[2].split(b":")
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        yield Mount(point, after.split()[0].decode("ascii", "replace"), os.makedev(int(major), int(minor)))


def _below(point: bytes, folders: Iterable[bytes]) -> bool:
    return any(point == folder or point.startswith(folder + b"/") for folder in folders)
