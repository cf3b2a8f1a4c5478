"""What a PC sent of its disk: lists of cells, packs and a table, every byte held to its digest before it is used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.foreign import EFI, Piece, belongs
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.fields import DIGEST, Fields, FormatError, read_json
from lab_tool.imaging.format.packs import Place, expand, parse_index

_FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "ntfs", "vfat", "swap")
_LONGEST_TABLE = 1 << 20


def read_received(folder: Path, work: Path, progress: Callable[[str], None]) -> list[Piece]:
    """The partitions that may belong to an image, in files in `work`. Raises `LabError`: damaged, or not all of it."""
    try:
        entries = read_table((folder / "table.json").read_bytes())
        cells = _Received(folder)
        pieces = []
        for piece, listed in entries:
            if not belongs(piece.type, piece.label) or (piece.fs != "swap" and not listed):
                continue
            file = None
            if listed:
                progress(f"partition {piece.number}: {piece.fs}")
                file = work / f"part-{piece.number}.img"
                size = cells.write(f"{piece.number}.cells", listed, file)
                if size != piece.size:
                    raise FormatError(f"partition {piece.number} has {piece.size} bytes, its cells are of {size}")
            pieces.append(replace(piece, file=file))
    except (OSError, FormatError) as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise LabError(f"what the PC sent is not whole: {what}", where=str(folder)) from error
    return pieces


def read_table(data: bytes) -> tuple[tuple[Piece, str], ...]:
    """Each partition that the table names, with the SHA-256 of its list of cells (empty: not sent).

    Raises `FormatError`.
    """
    fields = read_json(data, "the table", _LONGEST_TABLE)
    if fields.number("v") != 1:
        raise FormatError("a table of a version that is not known here")
    fields.number("disk")
    fields.number("sector")
    entries = fields.each("partitions", _entry)
    fields.end()
    return entries


def _entry(fields: Fields) -> tuple[Piece, str]:
    number = fields.number("number", 128)
    label, kind, guid = fields.text("name"), fields.text("type"), fields.text("guid")
    fields.number("start")
    size = -(-fields.number("size") // (1 << 20)) * (1 << 20)
    fs, uuid = fields.text("fs"), fields.text("uuid", longest=64)
    fields.text("label")
    listed = fields.text("cells")
    if listed and not (DIGEST.fullmatch(listed) and fs in _FILE_SYSTEMS):
        raise FormatError(f"partition {number}: cells of {fs!r}")
    if fs == "swap" and kind.upper() in EFI:
        raise FormatError(f"partition {number}: swap on an EFI partition")
    return Piece(number, label, kind, fs, size, uuid, guid.lower(), None), listed


class _Received:
    """The cells in the packs of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[bytes, tuple[Path, Place]] = {}
        for index in sorted(folder.glob("*.idx")):
            for digest, place in parse_index(index.read_bytes()).items():
                self._places[digest] = (index.with_suffix(".pack"), place)

    def write(self, name: str, digest: str, file: Path) -> int:
        """Write the partition that a list describes to a sparse file; its size."""
        data = (self._folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise FormatError(f"{name} is not the one that the PC sent")
        cells = CellList.parse(data)
        with file.open("wb") as out:
            out.truncate(cells.size)
            for number, wanted in cells.cells:
                content = self._cell(wanted, cells.cell_size)
                if content.count(0) != len(content):
                    os.pwrite(out.fileno(), content, number * cells.cell_size)
        return cells.size

    def _cell(self, digest: bytes, size: int) -> bytes:
        if digest not in self._places:
            raise FormatError(f"the cell {digest.hex()[:16]} is missing")
        pack, place = self._places[digest]
        with pack.open("rb") as opened:
            return expand(os.pread(opened.fileno(), place.length, place.offset), digest, size)
