"""GUID partition tables on a disk whose first sector no longer says that there is one.

Whoever overwrites the beginning of a disk takes away what programs look for first, while the table itself, or its copy
at the disk's end, is still there. A data partition that it names survives that as well.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from lab_tool.imaging.deploy.blocks import LONGEST, Disk
from lab_tool.imaging.deploy.trouble import DiskError

_HEADER = struct.Struct("<8s4sLL4xQQQQ16sQLLL")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_MAGIC = b"EFI PART"


@dataclass(frozen=True, slots=True)
class Entry:
    """A partition; bytes."""

    name: str
    type: str
    guid: str
    start: int
    size: int


def entries(disk: Disk) -> list[Entry]:
    """The partitions of the table, or of its copy at the disk's end where that one is damaged; none without either."""
    for sector in (1, disk.size // disk.sector - 1):
        try:
            found = _table(disk, sector)
        except (DiskError, struct.error):
            continue
        if found is not None:
            return found
    return []


def _table(disk: Disk, sector: int) -> list[Entry] | None:
    head = bytes(disk.read(sector * disk.sector, disk.sector))
    magic, _, size, checksum, own, _, _, _, _, place, number, length, entries_checksum = _HEADER.unpack_from(head)
    if magic != _MAGIC or own != sector or not _HEADER.size <= size <= disk.sector or length < _ENTRY.size:
        return None
    if zlib.crc32(head[:16] + bytes(4) + head[20:size]) != checksum:
        return None
    whole = -(-number * length // disk.sector) * disk.sector
    if whole > LONGEST or place * disk.sector + whole > disk.size:
        return None
    table = bytes(disk.read(place * disk.sector, whole))[: number * length]
    if zlib.crc32(table) != entries_checksum:
        return None
    return [_entry(disk, table[at : at + length]) for at in range(0, len(table), length) if any(table[at : at + 16])]


def _entry(disk: Disk, data: bytes) -> Entry:
    kind, guid, first, last, _, name = _ENTRY.unpack_from(data)
    text = name.decode("utf-16-le", "replace").partition("\0")[0]
    size = max(0, last - first + 1) * disk.sector
    return Entry(text, _text(kind), _text(guid), first * disk.sector, size)


def _text(guid: bytes) -> str:
    return str(uuid.UUID(bytes_le=guid)).upper()
