"""Which content a partition has, cell by cell: what to write, what to read back and what to fetch are one list.

A partition is cut into cells of one size. A cell in which the file system uses no block is not listed. Blocks of a
listed cell that are not in use are zeros. Bytes of the file:

    LABCELLS1 <cell size> <partition size>\\n      ASCII, decimal
    <number: 8 bytes, big-endian> <SHA-256 of the cell's content: 32 bytes>      once for each listed cell, ascending
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab_tool.imaging.format.fields import FormatError

CELL_SIZE = 256 * 1024
# Partitions are whole multiples of it, so that every cell is a whole one.
ALIGNMENT = 1024 * 1024
# Bytes of a compressed cell: it is never much larger than the cell.
LONGEST_FRAME = 2 * 1024 * 1024
_MAGIC = b"LABCELLS1"
_RECORD = struct.Struct(">Q32s")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class CellList:
    """`size` is the partition's, in bytes. `cells` are (number, digest), ascending; cell n starts at n * cell_size."""

    size: int
    cells: Sequence[tuple[int, bytes]]
    cell_size: int = CELL_SIZE

    @property
    def used(self) -> int:
        """Bytes in listed cells."""
        return len(self.cells) * self.cell_size

    def dump(self) -> bytes:
        """The bytes of the file; their SHA-256 names it in a manifest."""
        head = b"%s %d %d\n" % (_MAGIC, self.cell_size, self.size)
        return head + b"".join(_RECORD.pack(number, digest) for number, digest in self.cells)

    @property
    def digest(self) -> str:
        """SHA-256 of those bytes, in hexadecimal."""
        return hashlib.sha256(self.dump()).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> CellList:
        """The list in those bytes. Raises `FormatError`."""
        head, newline, body = data.partition(b"\n")
        parts = head.split(b" ")
        if not newline or len(parts) != 3 or parts[0] != _MAGIC or not all(map(_NUMBER.fullmatch, parts[1:])):
            raise FormatError("this is no list of cells")
        cell_size, size = int(parts[1]), int(parts[2])
        if cell_size <= 0 or ALIGNMENT % cell_size or size % ALIGNMENT or len(body) % _RECORD.size:
            raise FormatError("a list of cells with sizes that don't fit")
        cells = list(_RECORD.iter_unpack(body))
        if any(later[0] <= earlier[0] for earlier, later in pairwise(cells)):
            raise FormatError("a list of cells that is not in order")
        if cells and (cells[-1][0] + 1) * cell_size > size:
            raise FormatError("a list of cells that reaches beyond the partition")
        return cls(size, cells, cell_size)


def cell_numbers(ranges: Sequence[tuple[int, int]], cell_size: int = CELL_SIZE) -> Iterator[int]:
    """The numbers of the cells that byte ranges (start, end), sorted, touch; each once."""
    last = -1
    for start, end in ranges:
        for number in range(max(last + 1, start // cell_size), -(-end // cell_size)):
            yield number
            last = number
