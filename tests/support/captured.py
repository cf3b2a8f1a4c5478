"""A capture as a PC sends it: a table, one list of cells, packs; small, and of nothing that starts."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.packs import PackWriter, dump_index

MIB = 1024 * 1024
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
ORDER = "o-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Sent:
    """The folder with the parts, and the SHA-256 of the table, which the PC tells in the end."""

    folder: Path
    digest: str

    def file(self, ending: str) -> Path:
        """The first file with that ending."""
        return sorted(self.folder.glob(f"*{ending}"))[0]

    def damage(self, ending: str) -> None:
        """Change one byte in the middle of it."""
        change(self.file(ending), lambda data: data[: len(data) // 2] + b"\xff" + data[len(data) // 2 + 1 :])


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    """Let a file hold something else."""
    path.write_bytes(how(path.read_bytes()))


def send(folder: Path, seed: int = 1, cells: int = 4) -> Sent:
    """Write a capture of `cells` different cells, two to a pack, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = [random.Random(f"{seed}-{number}").randbytes(CELL_SIZE) for number in range(cells)]
    for at in range(0, cells, 2):
        add_pack(folder, contents[at : at + 2])
    listed = CellList(MIB * cells, [(number, hashlib.sha256(one).digest()) for number, one in enumerate(contents)])
    (folder / "2.cells").write_bytes(listed.dump())
    common = {"type": LINUX, "guid": "", "label": "", "uuid": "", "name": "", "start": MIB}
    partitions = [
        {**common, "number": 1, "size": MIB, "fs": "", "cells": ""},
        {**common, "number": 2, "size": MIB * cells, "fs": "ext4", "cells": listed.digest},
    ]
    table = {"v": 1, "disk": MIB * (cells + 3), "sector": 512, "partitions": partitions}
    data = json.dumps(table, sort_keys=True).encode()
    (folder / "table.json").write_bytes(data)
    return Sent(folder, hashlib.sha256(data).hexdigest())


def add_pack(folder: Path, contents: list[bytes]) -> str:
    """Write a pack of these cells and its index; its id."""
    with (folder / "new").open("wb") as out:
        pack = PackWriter(out, 1)
        for content in contents:
            pack.add(hashlib.sha256(content).digest(), content)
    (folder / "new").rename(folder / f"{pack.id}.pack")
    (folder / f"{pack.id}.idx").write_bytes(dump_index(pack.places))
    return pack.id
