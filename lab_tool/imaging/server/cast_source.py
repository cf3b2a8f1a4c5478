"""The cells of an image in the order of the disk, read from the packs as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.packs import Place, parse_index


class CellSource:
    """`digests` are those of the image's cells, partition after partition, each once; frames are read on demand."""

    def __init__(self, root: Path, image: str) -> None:
        """`root` holds `images`, `cells` and `packs` as the store has them. Raises `LabError` for what is missing."""
        self._packs: list[int] = []
        self._places: dict[bytes, tuple[int, Place]] = {}
        try:
            manifest = Manifest.parse((root / "images" / image / "manifest.json").read_bytes(), image)
            digests: dict[bytes, None] = {}
            for part in manifest.partitions:
                if part.cells:
                    cells = CellList.parse((root / "cells" / part.cells).read_bytes()).cells
                    digests.update(dict.fromkeys(digest for _, digest in cells))
            for pack in manifest.packs:
                index = parse_index((root / "packs" / f"{pack}.idx").read_bytes())
                file = os.open(root / "packs" / f"{pack}.pack", os.O_RDONLY | os.O_CLOEXEC)
                self._packs.append(file)
                self._places.update({digest: (file, at) for digest, at in index.items() if digest in digests})
        except (OSError, FormatError) as error:
            raise LabError(f"image {image[:12]} can't be sent: {error}", where=str(root)) from error
        missing = len(digests) - len(self._places)
        if missing or not digests:
            raise LabError(f"image {image[:12]} can't be sent: {missing} of its cells are in no pack", where=str(root))
        self.digests: Sequence[bytes] = tuple(digests)

    def frame(self, index: int) -> bytes:
        """The frame of the cell with that index in `digests`. Raises `OSError` when the pack is cut short."""
        file, at = self._places[self.digests[index]]
        frame = os.pread(file, at.length, at.offset)
        if len(frame) != at.length:
            raise OSError("a pack is shorter than its index says")
        return frame

    def close(self) -> None:
        """Close the packs."""
        for file in self._packs:
            os.close(file)
        self._packs.clear()
