"""What a captured PC sent, and whether all of it is there: everything leads back to one digest that the PC told.

The table has that digest (`cells_sha256` of its result), the table names the lists of cells by theirs, the lists name
cells, and a pack is called what its bytes hash to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.received import read_table
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import Place, expand, parse_index
from lab_tool.settings import Settings

TABLE = "table.json"
PACK, INDEX = ".pack", ".idx"
# Names that a part may have; none leads out of its folder.
NAME = re.compile(r"table\.json|[1-9][0-9]{0,2}\.cells|[0-9a-f]{64}\.(?:pack|idx)")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Whole:
    """What was found right: so many parts of so many bytes, with so many different cells."""

    parts: int
    bytes: int
    cells: int


def incoming(settings: Settings, order: str) -> Path:
    """Where on the control node the parts of that order lie."""
    return settings.images / "incoming" / order


def lists_of(folder: Path) -> dict[str, str]:
    """The lists of cells that the table names: file name to SHA-256. Raises `FormatError` and `OSError`."""
    entries = read_table((folder / TABLE).read_bytes())
    return {f"{piece.number}.cells": listed for piece, listed in entries if listed}


def cells_of(folder: Path, lists: Iterable[str]) -> dict[bytes, int]:
    """The digests of all cells in these lists, each with its cells' size. Raises `FormatError` and `OSError`."""
    found: dict[bytes, int] = {}
    for name in lists:
        listed = CellList.parse((folder / name).read_bytes())
        found.update(dict.fromkeys((digest for _, digest in listed.cells), listed.cell_size))
    return found


def packs_for(folder: Path, cells: Iterable[bytes]) -> dict[str, dict[bytes, Place]]:
    """By id, the packs of which the cells need something, and where in them each cell lies.

    A PC that began anew left packs of before, which nobody needs. Raises `FormatError` and `OSError`.
    """
    places: dict[bytes, tuple[str, Place]] = {}
    for index in sorted(folder.glob(f"*{INDEX}")):
        for digest, place in parse_index(index.read_bytes()).items():
            places.setdefault(digest, (index.stem, place))
    needed: dict[str, dict[bytes, Place]] = defaultdict(dict)
    for digest in cells:
        if digest not in places:
            raise FormatError(f"the cell {digest.hex()[:16]} is in no pack")
        pack, place = places[digest]
        needed[pack][digest] = place
    return dict(needed)


def is_whole(path: Path, digest: str) -> bool:
    """Whether the file is there with that SHA-256."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def verify(folder: Path, digest: str, progress: Progress) -> Whole:
    """Read all parts back and hold every cell to its digest; `digest` is what the PC said of its table.

    Raises `LabError`: something is missing, damaged, or another PC's.
    """
    try:
        _require(folder, {TABLE: digest})
        lists = lists_of(folder)
        _require(folder, lists)
        cells = cells_of(folder, lists)
        packs = packs_for(folder, cells)
        _require(folder, {f"{pack}{PACK}": pack for pack in packs})
        done = 0
        for pack, places in packs.items():
            done += _expand(folder / f"{pack}{PACK}", places, cells)
            progress(done, len(cells))
    except (FormatError, OSError) as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise LabError(f"what the PC sent is not whole: {what}", where=str(folder)) from error
    names = [TABLE, *lists, *(f"{pack}{kind}" for pack in packs for kind in (PACK, INDEX))]
    return Whole(len(names), sum((folder / name).stat().st_size for name in names), len(cells))


def _require(folder: Path, wanted: Mapping[str, str]) -> None:
    for name, digest in wanted.items():
        if not is_whole(folder / name, digest):
            there = "is not what the PC sent" if (folder / name).exists() else "is missing"
            raise FormatError(f"{name} {there}")


def _expand(pack: Path, places: Mapping[bytes, Place], sizes: Mapping[bytes, int]) -> int:
    with pack.open("rb") as opened:
        for digest, place in sorted(places.items(), key=lambda item: item[1].offset):
            expand(os.pread(opened.fileno(), place.length, place.offset), digest, sizes[digest])
    return len(places)
