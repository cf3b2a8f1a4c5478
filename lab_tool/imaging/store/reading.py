"""A partition as its cells: blocks that the file system does not use are zeros, whatever lies in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab_tool.errors import LabError
from lab_tool.imaging.format.cells import ALIGNMENT, CELL_SIZE, cell_numbers
from lab_tool.imaging.store.draft import DraftPartition

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One cell to read, and the ranges of the partition in it that count."""

    number: int
    ranges: tuple[Range, ...]


def used_of(part: DraftPartition) -> tuple[Range, ...]:
    """The ranges of a partition that count, none overlapping; all of it where nobody told. Raises `LabError`."""
    if part.size <= 0 or part.size % ALIGNMENT:
        raise LabError(f"the partition {part.name} has {part.size} bytes, which is no multiple of 1 MiB")
    if part.used is None:
        return ((0, part.size),)
    merged: list[Range] = []
    for start, end in sorted(part.used):
        if not 0 <= start <= end <= part.size:
            raise LabError(f"the partition {part.name} of {part.size} bytes can't use bytes {start} to {end}")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return tuple(merged)


def wanted_cells(ranges: Sequence[Range]) -> Iterator[Wanted]:
    """The cells that sorted ranges touch."""
    at = 0
    for number in cell_numbers(ranges):
        first, last = number * CELL_SIZE, (number + 1) * CELL_SIZE
        while ranges[at][1] <= first:
            at += 1
        inside, next_range = [], at
        while next_range < len(ranges) and ranges[next_range][0] < last:
            start, end = ranges[next_range]
            inside.append((max(start, first), min(end, last)))
            next_range += 1
        yield Wanted(number, tuple(inside))


def read_cell(file: int, cell: Wanted) -> bytes:
    """The content of a cell of an open device: zeros where nothing is used, and beyond its end."""
    first = cell.number * CELL_SIZE
    content = bytearray(CELL_SIZE)
    start, end = cell.ranges[0][0], cell.ranges[-1][1]
    read = _read(file, start, end - start)
    for begins, ends in cell.ranges:
        content[begins - first : ends - first] = read[begins - start : ends - start].ljust(ends - begins, b"\0")
    return bytes(content)


def _read(file: int, start: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(file, length, start)
        if not part:
            break
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)
