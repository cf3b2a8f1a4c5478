"""An image for streams: a store's folders with one partition of cells that don't compress, or nearly not."""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.packs import PackWriter, dump_index


@dataclass(frozen=True, slots=True)
class CastImage:
    """Where its folders are, its id, the list of its one partition, and the partition's bytes in a file."""

    root: Path
    id: str
    cells: CellList
    partition: Path

    @property
    def pack(self) -> Path:
        """Its one pack."""
        return next((self.root / "packs").glob("*.pack"))


def make_image(root: Path, cells: int, seed: int = 1) -> CastImage:
    """An image of so many different cells, with holes between them, below `root`."""
    draw = random.Random(seed)
    size = -(-(cells * 5 // 4 + 8) // 4) * 4 * CELL_SIZE
    listed: list[tuple[int, bytes]] = []
    content = io.BytesIO()
    pack = PackWriter(content, level=1)
    for name in ("images", "cells", "packs"):
        (root / name).mkdir(parents=True)
    partition = root / "partition"
    with partition.open("wb") as file:
        file.truncate(size)
        for at in range(cells):
            number = at * 5 // 4
            filled = CELL_SIZE // (1 if at % 3 else 2)
            cell = draw.randbytes(filled) + bytes(CELL_SIZE - filled)
            digest = hashlib.sha256(cell).digest()
            file.seek(number * CELL_SIZE)
            file.write(cell)
            pack.add(digest, cell)
            listed.append((number, digest))
    (root / "packs" / f"{pack.id}.pack").write_bytes(content.getvalue())
    (root / "packs" / f"{pack.id}.idx").write_bytes(dump_index(pack.places))
    known = CellList(size, listed)
    (root / "cells" / known.digest).write_bytes(known.dump())
    manifest = _manifest(known, pack.id)
    folder = root / "images" / manifest.id
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest.dump())
    return CastImage(root, manifest.id, known, partition)


def _manifest(cells: CellList, pack: str) -> Manifest:
    part = Partition("system", "ext4", cells.size, True, cells.digest, cells.used)
    return Manifest(
        name="debian-lab",
        version=1,
        made="2026-09-01T08:00:00Z",
        by="li-na",
        family="linux",
        title="Debian",
        kind="import",
        source={},
        parent="",
        changes="",
        partitions=(part,),
        packs=(pack,),
        contents="0" * 64,
    )
