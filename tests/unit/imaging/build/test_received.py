"""What a PC sent becomes an image, whole and as it was sent, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.api import intake
from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.packs import PackWriter, dump_index
from lab_tool.imaging.store.draft import DraftPartition
from lab_tool.imaging.store.reading import read_cell, used_of, wanted_cells
from lab_tool.settings import PROJECT, Settings
from tests.unit.imaging.build.conftest import MIB, UUID, MakeTree, builders_only, ext4, sh

pytestmark = builders_only
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


@dataclass
class Sent:
    """The folder of a capture, as the deploy system sends it."""

    folder: Path
    settings: Settings

    def file(self, kind: str) -> Path:
        """The one with that ending."""
        (path,) = self.folder.glob(f"*{kind}")
        return path

    def table(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the table."""
        path = self.folder / "table.json"
        table = json.loads(path.read_text())
        change(table)
        path.write_text(json.dumps(table))


@pytest.fixture
def sent(tree: MakeTree, tmp_path: Path) -> Sent:
    system = ext4(tree(), tmp_path / "system")
    folder = tmp_path / "o-0123456789abcdef"
    folder.mkdir()
    part = DraftPartition("system", "ext4", 64 * MIB, device=system, used=tuple(used_ranges(system, "ext4")))
    with system.open("rb") as opened, (folder / "part").open("wb") as out:
        pack, cells = PackWriter(out, 1), []
        for wanted in wanted_cells(used_of(part)):
            content = read_cell(opened.fileno(), wanted)
            digest = hashlib.sha256(content).digest()
            pack.add(digest, content)
            cells.append((wanted.number, digest))
    (folder / "part").rename(folder / f"{pack.id}.pack")
    (folder / f"{pack.id}.idx").write_bytes(dump_index(pack.places))
    listed = CellList(64 * MIB, cells)
    (folder / "3.cells").write_bytes(listed.dump())
    common = {"type": LINUX, "guid": "", "label": "", "uuid": ""}
    partitions = [
        {**common, "number": 1, "name": "", "type": "21686148-6449-6E6F-744E-656564454649", "start": MIB, "size": MIB},
        {**common, "number": 3, "name": "x", "start": 2 * MIB, "size": 64 * MIB - 512, "uuid": UUID},
        {**common, "number": 4, "name": "x-swap", "start": 66 * MIB, "size": MIB, "uuid": "swap"},
        {**common, "number": 5, "name": "lab-data", "start": 67 * MIB, "size": MIB, "uuid": "data"},
    ]
    for entry, (fs, cell) in zip(
        partitions, (("", ""), ("ext4", listed.digest), ("swap", ""), ("ext4", "")), strict=True
    ):
        entry.update(fs=fs, cells=cell)
    table = {"v": 1, "disk": 70 * MIB, "sector": 512, "partitions": partitions}
    (folder / "table.json").write_text(json.dumps(table))
    return Sent(folder, Settings(PROJECT, tmp_path / "inventory", tmp_path / "state"))


def test_it_is_an_image_without_who_the_pc_was(sent: Sent) -> None:
    with intake(sent.settings, sent.folder, "debian-lab", changes="geometry") as draft:
        root, swap = draft.partitions
        assert (draft.kind, root.fs, root.size, root.uuid) == ("capture", "ext4", 64 * MIB, UUID)
        assert (swap.fs, swap.size, swap.uuid) == ("swap", MIB, "swap")
        assert root.device
        sh("e2fsck", "-fn", root.device)
        assert not [name for name in draft.contents["files"] if "ssh_host" in name]
        assert draft.source["order"] == "o-0123456789abcdef"


def test_a_damaged_cell_is_refused(sent: Sent) -> None:
    pack = sent.file(".pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    with pytest.raises(LabError, match="a damaged cell"), intake(sent.settings, sent.folder, "debian-lab"):
        pass


@pytest.mark.parametrize(
    ("kind", "words"), [(".pack", "No such file"), (".idx", "is missing"), (".cells", "No such file"), (".json", "No")]
)
def test_a_missing_file_is_refused(sent: Sent, kind: str, words: str) -> None:
    sent.file(kind).unlink()
    with pytest.raises(LabError, match=words), intake(sent.settings, sent.folder, "debian-lab"):
        pass


def test_another_list_of_cells_is_refused(sent: Sent) -> None:
    cells = CellList.parse(sent.file(".cells").read_bytes())
    sent.file(".cells").write_bytes(CellList(cells.size, cells.cells[:-1]).dump())
    with pytest.raises(LabError, match="not the one that the PC sent"), intake(sent.settings, sent.folder, "x"):
        pass


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size", 99 * MIB, "its cells are of"),
        ("fs", "zfs", "cells of 'zfs'"),
        ("number", -1, "number"),
        ("cells", "../../etc/passwd", "cells of"),
        ("colour", "green", "unknown colour"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(sent: Sent, field: str, value: object, words: str) -> None:
    sent.table(lambda table: table["partitions"][1].update({field: value}))
    with pytest.raises(LabError, match=words), intake(sent.settings, sent.folder, "debian-lab"):
        pass
