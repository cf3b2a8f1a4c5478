"""Which bytes of a partition its file system uses, as partclone tells. Runs on PCs too: standard library only."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.process import run

READERS = ("ext4", "xfs", "btrfs", "ntfs", "vfat")
# What partclone's map of a domain says of a range that is in use.
_IN_USE = "+"
_NTFS_BOOT = struct.Struct("<11xH27xQ")
_NTFS_TAIL = 4096
# Where a file system says that its journal is still to be read: the place, and what lies there (magic, and flags).
_JOURNAL = {"ext4": (1024 + 56, struct.Struct("<H38xI")), "btrfs": (0x10040, struct.Struct("<8s24xQ"))}
_EXT4_MAGIC, _EXT4_RECOVER = 0xEF53, 0x4
_BTRFS_MAGIC = b"_BHRfS_M"


def used_ranges(device: Path, fs: str) -> list[tuple[int, int]]:
    """Byte ranges (start, end) in which the file system on `device` (a device, or a plain file) keeps anything: sorted,
    none touching the next. Raises `LabError` where there is no such file system, or one that was not put away clean.
    """
    if fs not in READERS:
        raise LabError(f"which blocks of {fs} are in use can't be told", where=str(device))
    size = size_of(device)
    _require_clean(device, fs)
    with tempfile.TemporaryDirectory(prefix="lab-used-") as folder:
        chart = Path(folder, "map")
        log = Path(folder, "log")
        try:
            done = run(
                [f"partclone.{fs}", "-D", "-s", str(device), "-o", str(chart), "-L", str(log)],
                env={**os.environ, "LC_ALL": "C", "TERM": "dumb"},
            )
        except FileNotFoundError as error:
            raise LabError(f"partclone.{fs} is not installed", next_command="apt-get install partclone") from error
        if done.code or not chart.exists():
            raise LabError(f"its file system ({fs}) can't be read: {done.error_text}", where=str(device))
        ranges = list(_read(chart.read_text(encoding="ascii")))
    if fs == "ntfs":
        ranges += _second_boot_sector(device, size)
    return merge(ranges, size)


def _require_clean(device: Path, fs: str) -> None:
    """What a journal has not put in place yet lies on blocks that count as free."""
    if fs not in _JOURNAL:
        return
    start, form = _JOURNAL[fs]
    with device.open("rb") as opened:
        opened.seek(start)
        (magic, value) = form.unpack(opened.read(form.size))
    if (fs == "ext4" and magic == _EXT4_MAGIC and value & _EXT4_RECOVER) or (
        fs == "btrfs" and magic == _BTRFS_MAGIC and value
    ):
        raise LabError(f"its file system ({fs}) was not put away clean: shut its system down", where=str(device))


def size_of(device: Path) -> int:
    """Bytes of a file or of a device."""
    with device.open("rb") as opened:
        return opened.seek(0, os.SEEK_END)


def merge(ranges: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The same bytes up to `size`, sorted, none touching the next."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        cut = min(end, size)
        if cut <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], cut))
        else:
            merged.append((start, cut))
    return merged


def _read(chart: str) -> Iterator[tuple[int, int]]:
    """The map is one of GNU ddrescue: comments, where it stands now, then position, size and status."""
    lines = [line.split() for line in chart.splitlines() if line and not line.startswith("#")]
    for position, length, status in lines[1:]:
        if status == _IN_USE:
            start = int(position, 16)
            yield start, start + int(length, 16)


def _second_boot_sector(device: Path, size: int) -> Iterator[tuple[int, int]]:
    """NTFS keeps a copy of its boot sector behind its last cluster, where partclone does not look."""
    with device.open("rb") as opened:
        sector, sectors = _NTFS_BOOT.unpack(opened.read(_NTFS_BOOT.size))
    yield sectors * sector, (sectors + 1) * sector
    yield max(0, size - _NTFS_TAIL), size
