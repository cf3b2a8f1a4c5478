"""Reads whole disks: devices, raw files, or what qemu-img knows. Of each partition only what is in use is copied."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.foreign import EFI, Piece, belongs
from lab_tool.imaging.build.programs import tool
from lab_tool.imaging.build.used import READERS, used_ranges
from lab_tool.imaging.format.cells import ALIGNMENT

_PIECE = 4 * 1024 * 1024
# Two programs that look for a free loop device at once may find the same.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the partition table, in bytes."""

    number: int
    label: str
    type: str
    start: int
    size: int
    guid: str


def read_disk(disk: Path, work: Path, progress: Callable[[str], None]) -> list[Piece]:
    """The partitions that may belong to an image, copied to files in `work`. Raises `LabError`."""
    raw = _as_raw(disk, work, progress)
    pieces = []
    for entry in _table(raw):
        if not belongs(entry.type, entry.label):
            progress(f"partition {entry.number}: left out")
            continue
        with _device(raw, entry) as device:
            fs, uuid = _file_system(device)
            file = None
            if fs in READERS:
                used = used_ranges(device, fs)
                progress(f"partition {entry.number}: {fs}, {sum(end - start for start, end in used) // ALIGNMENT} MiB")
                file = work / f"part-{entry.number}.img"
                copy(device, file, used, whole(entry.size))
            elif fs != "swap" or entry.type.upper() in EFI:
                what = f"partition {entry.number}: {fs or 'nothing that is known'}"
                raise LabError(f"{what}, which can't be part of an image", where=str(disk))
        pieces.append(
            Piece(entry.number, entry.label, entry.type, fs, whole(entry.size), uuid, entry.guid.lower(), file)
        )
    return pieces


def whole(size: int) -> int:
    """A partition's size in an image: whole MiB, and not less."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def copy(source: Path, target: Path, ranges: Sequence[tuple[int, int]], size: int) -> None:
    """Copy byte ranges to the same places of a new sparse file of `size` bytes."""
    with source.open("rb") as read, target.open("wb") as written:
        written.truncate(size)
        for start, end in ranges:
            for at in range(start, end, _PIECE):
                content = os.pread(read.fileno(), min(_PIECE, end - at), at)
                if content.count(0) != len(content):
                    os.pwrite(written.fileno(), content, at)


def _as_raw(disk: Path, work: Path, progress: Callable[[str], None]) -> Path:
    if disk.is_block_device():
        return disk
    told = json.loads(tool("qemu-img", "info", "--output=json", disk, what="this disk").out)
    if told["format"] == "raw":
        return disk
    if "backing-filename" in told or "data-file" in told.get("format-specific", {}).get("data", {}):
        # It would be read as well, whatever it is.
        raise LabError("this disk is only part of one: it names another file", where=str(disk))
    progress(f"disk of the format {told['format']}")
    raw = work / "disk.raw"
    tool("qemu-img", "convert", "-f", told["format"], "-O", "raw", disk, raw, what="this disk")
    return raw


def _table(raw: Path) -> list[_Entry]:
    told = json.loads(tool("sfdisk", "--json", raw, what="the partition table of this disk").out)["partitiontable"]
    sector = int(told.get("sectorsize", 512))
    return [
        _Entry(
            number,
            str(part.get("name", "")),
            str(part["type"]),
            int(part["start"]) * sector,
            int(part["size"]) * sector,
            str(part.get("uuid", "")),
        )
        for number, part in enumerate(told.get("partitions", ()), 1)
    ]


@contextmanager
def _device(raw: Path, entry: _Entry) -> Iterator[Path]:
    """The partition as a device of its own, only to be read."""
    words = ("losetup", "--find", "--show", "--read-only", f"--offset={entry.start}", f"--sizelimit={entry.size}", raw)
    for left in range(_TRIES, 0, -1):
        try:
            loop = tool(*words, what=f"partition {entry.number}").out.decode("ascii").strip()
            break
        except LabError:
            if left == 1:
                raise
            time.sleep(0.2)
    try:
        yield Path(loop)
    finally:
        tool("losetup", "--detach", loop, what=f"partition {entry.number}")


def _file_system(device: Path) -> tuple[str, str]:
    """Its kind and its id, both empty where there is none."""
    told = tool("blkid", "-p", "-o", "export", device, what="a partition of this disk", accept=(0, 2))
    said = dict(line.split("=", 1) for line in told.out.decode(errors="replace").splitlines() if "=" in line)
    return said.get("TYPE", ""), said.get("UUID", "")
