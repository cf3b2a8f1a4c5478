"""Trees become partitions: the same tree the same bytes; on a parent's blocks only what changed changes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.filesystem import Wanted, bring_up_to, make
from lab_tool.imaging.build.inside import look_through
from lab_tool.imaging.build.survey import survey
from lab_tool.imaging.build.tidy import clean, settle
from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.format.cells import CELL_SIZE
from lab_tool.imaging.store.draft import DraftPartition
from lab_tool.imaging.store.reading import read_cell, used_of, wanted_cells
from tests.unit.imaging.build.conftest import MIB, UUID, MakeTree, builders_only, noise, sh

pytestmark = builders_only
BEGUN = 1_750_000_000
WANTED = Wanted("ext4", 64 * MIB, UUID, 1_700_000_000)


def cells(file: Path, fs: str = "ext4") -> dict[int, bytes]:
    """As the store cuts them."""
    part = DraftPartition("system", fs, file.stat().st_size, device=file, used=tuple(used_ranges(file, fs)))
    with file.open("rb") as opened:
        return {cell.number: read_cell(opened.fileno(), cell) for cell in wanted_cells(used_of(part))}


def changed(before: dict[int, bytes], after: dict[int, bytes]) -> float:
    """The share of cells that the store does not have yet."""
    known = set(before.values())
    return sum(content not in known for content in after.values()) / len(after)


def test_the_same_tree_makes_the_same_bytes(tree: MakeTree, tmp_path: Path) -> None:
    files = []
    for name, backwards in (("one", False), ("other", True)):
        root = tree(name, backwards=backwards)
        clean(root)
        epoch = settle(root, BEGUN)
        file = tmp_path / f"{name}.img"
        make(root, file, replace(WANTED, epoch=epoch))
        files.append(file.read_bytes())
    assert files[0] == files[1]


def test_one_byte_more_makes_others(tree: MakeTree, tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        root = tree(name)
        (root / "etc/hostname").write_text(f"{name[-1]}\n")
        settle(root, BEGUN)
        make(root, tmp_path / f"{name}.img", WANTED)
        files.append(cells(tmp_path / f"{name}.img"))
    assert 0 < changed(*files) < 0.05


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_all_of_the_tree_is_in_there(tree: MakeTree, tmp_path: Path, fs: str) -> None:
    root, file = tree(), tmp_path / "file"
    make(root, file, replace(WANTED, fs=fs, size=384 * MIB))
    found = look_through(file, fs, cleaning=False)
    told = survey(root)
    assert found.packages == told.packages == {"bash": "5.2"}
    assert {path: text for path, text in found.files.items() if "lost+found" not in path} == told.files
    assert sh("blkid", "-p", "-s", "UUID", "-o", "value", file).strip() == UUID


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_on_the_blocks_of_a_parent_only_what_changed_changes(tree: MakeTree, tmp_path: Path, fs: str) -> None:
    wanted = replace(WANTED, fs=fs, size=384 * MIB if fs != "ext4" else WANTED.size)
    root, file = tree(), tmp_path / "file"
    make(root, file, wanted)
    before = cells(file, fs)
    for number in (20, 110, 150):
        (root / f"usr/share/things/{number:03d}").write_bytes(noise(1000 + number, 700 * number))
    (root / "usr/share/things/170").unlink()
    (root / "usr/share/new").write_bytes(noise(9, 50_000))
    bring_up_to(root, file, wanted)
    assert look_through(file, fs, cleaning=False).files.items() >= survey(root).files.items()
    assert "/usr/share/things/170" not in look_through(file, fs, cleaning=False).files
    assert changed(before, cells(file, fs)) < 0.25
    fsck = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n"), "btrfs": ("btrfs", "check")}[fs]
    sh(*fsck, file)


def test_a_parent_that_is_the_same_costs_next_to_nothing(tree: MakeTree, tmp_path: Path) -> None:
    root, file = tree(), tmp_path / "file"
    make(root, file, WANTED)
    before = cells(file)
    bring_up_to(root, file, WANTED)
    assert changed(before, cells(file)) * len(before) <= 2


def test_files_that_were_one_in_the_parent_don_t_write_over_each_other(tree: MakeTree, tmp_path: Path) -> None:
    root, file = tree(), tmp_path / "file"
    make(root, file, WANTED)
    (root / "usr/share/things/one").unlink()
    (root / "usr/share/things/one").write_bytes(noise(77, 700))
    bring_up_to(root, file, WANTED)
    found = look_through(file, "ext4", cleaning=False).files
    assert found["/usr/share/things/one"] == survey(root).files["/usr/share/things/one"]
    assert found["/usr/share/things/001"] == survey(root).files["/usr/share/things/001"]


def test_a_parent_grows_and_never_shrinks(tree: MakeTree, tmp_path: Path) -> None:
    root, file = tree(), tmp_path / "file"
    make(root, file, WANTED)
    bring_up_to(root, file, replace(WANTED, size=96 * MIB))
    assert file.stat().st_size == 96 * MIB
    sh("e2fsck", "-fn", file)
    with pytest.raises(LabError, match="it can only grow"):
        bring_up_to(root, file, WANTED)


def test_a_tree_that_does_not_fit_is_refused(tree: MakeTree, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="new file system"):
        make(tree(), tmp_path / "file", replace(WANTED, size=12 * MIB))


def test_cells_are_what_the_file_system_uses(tree: MakeTree, tmp_path: Path) -> None:
    root, file = tree(), tmp_path / "file"
    make(root, file, WANTED)
    before = cells(file)
    with file.open("r+b") as opened:
        # In a place that nobody uses.
        free = next(
            end for start, end in used_ranges(file, "ext4") if end + CELL_SIZE < WANTED.size and end % CELL_SIZE
        )
        os.pwrite(opened.fileno(), b"stale", free)
    assert cells(file) == before
