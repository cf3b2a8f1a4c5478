"""After writing: is on the disk what was signed? Read past the page cache, cell by cell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.trouble import DiskError
from lab_tool.imaging.deploy.writer import RIGHT, THREADS, Area, runs
from lab_tool.imaging.format.cells import CellList

# Cells found right that are read again, however little was written.
_LEAST = 64


def read_back(disk: Disk, areas: Sequence[Area], moved: Callable[[int], None]) -> list[str]:
    """The digests of the areas' lists of cells, made of what the disk gave. Raises `DiskError` at a difference.

    Of the cells that `Writer.compare` found right, which it read from the disk itself in this very run, only some are
    read again, as many as were written: a disk that pretends to be larger than it is writes one over the other.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="read-back") as pool:
        return [_read_area(disk, area, pool, moved) for area in areas]


def size(areas: Sequence[Area]) -> int:
    """How many bytes `read_back` reads."""
    return sum(len(_to_read(area)) * area.cells.cell_size for area in areas)


def _to_read(area: Area) -> list[int]:
    written = [index for index, state in enumerate(area.state) if state != RIGHT]
    right = [index for index, state in enumerate(area.state) if state == RIGHT]
    step = max(1, len(right) // max(_LEAST, len(written)))
    return sorted(written + right[::step])


def combined(digests: Iterable[str]) -> str:
    """One SHA-256 for the lists of cells of all partitions of all systems, in their order: what a PC proves to hold."""
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode("ascii")).hexdigest()


def _read_area(disk: Disk, area: Area, pool: ThreadPoolExecutor, moved: Callable[[int], None]) -> str:
    size = area.cells.cell_size
    read = [digest for _, digest in area.cells.cells]

    def check(run: range) -> None:
        content = disk.read(area.offset(run.start), len(run) * size)
        for at, index in enumerate(run):
            digest = hashlib.sha256(content[at * size : (at + 1) * size]).digest()
            if digest != read[index]:
                raise DiskError(
                    f"the disk gives back something else than was written to it ({area.name})",
                    where=disk.place(area.offset(index)),
                    advice="Test the PC's memory and the cable and try once more, else replace the disk",
                )
            read[index] = digest
        moved(len(content))

    for _ in pool.map(check, runs(area, _to_read(area))):
        pass
    numbers = (number for number, _ in area.cells.cells)
    return CellList(area.cells.size, list(zip(numbers, read, strict=True)), size).digest
