"""Whatever becomes of the store's files is found, and a damaged cell reaches nobody."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.format.cells import CELL_SIZE
from lab_tool.imaging.store.whole import verify
from tests.unit.imaging.store.conftest import Bench

Cells = Callable[..., bytes]


@pytest.fixture
def full(bench: Bench, cells: Cells, tmp_path: Path) -> Bench:
    """A store with two versions that share a pack."""
    esp = tmp_path / "esp.tar"
    esp.write_bytes(b"files" * 100)
    bench.add(cells(1, 2, 3, 4), esp=esp)
    bench.add(cells(1, 2, 3, 5), esp=esp)
    assert verify(bench.store).damage == ()
    return bench


def files_of(bench: Bench) -> list[str]:
    """Every file that a version needs, but for signatures, which are not the store's to judge."""
    return sorted(name for name in bench.files() if not name.endswith("manifest.sig"))


def test_a_byte_that_flips_anywhere_is_found(full: Bench) -> None:
    chance = random.Random(1)
    for name in files_of(full):
        path = full.store.root / name
        kept = path.read_bytes()
        for at in {0, len(kept) // 2, len(kept) - 1, *(chance.randrange(len(kept)) for _ in range(5))}:
            path.write_bytes(kept[:at] + bytes([kept[at] ^ 1 << chance.randrange(8)]) + kept[at + 1 :])
            damage = verify(full.store).damage
            assert damage, f"{name} at {at}"
            assert all(each.images for each in damage), f"{name} at {at}"
        path.write_bytes(kept)
    assert verify(full.store).damage == ()


@pytest.mark.parametrize("keep", [0, 0.5, 1])
def test_a_file_that_is_cut_off_or_goes_on_is_found(full: Bench, keep: float) -> None:
    for name in files_of(full):
        path = full.store.root / name
        kept = path.read_bytes()
        path.write_bytes(kept[: int(len(kept) * keep)] + (b"more" if keep == 1 else b""))
        assert verify(full.store).damage, name
        path.write_bytes(kept)


def test_a_file_that_is_gone_is_found(full: Bench) -> None:
    for name in files_of(full):
        path = full.store.root / name
        kept = path.read_bytes()
        path.unlink()
        assert verify(full.store).damage, name
        path.write_bytes(kept)


def test_it_is_told_which_versions_are_hit(full: Bench) -> None:
    first, second = (one.id for one in full.store.images())
    (shared,) = full.store.find("debian-lab/1").manifest.packs
    path = full.store.pack_path(shared)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    (damage,) = verify(full.store).damage
    assert (damage.path, set(damage.images)) == (f"packs/{shared}.pack", {first, second})


def test_a_damaged_cell_is_given_to_nobody(full: Bench, tmp_path: Path) -> None:
    part = full.store.find("debian-lab/1").manifest.root
    digest = full.store.cells(part).cells[2][1]
    pack, place = full.store.known_cells()[digest]
    path = full.store.pack_path(pack)
    data = bytearray(path.read_bytes())
    data[place.offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(LabError, match="damaged cell"):
        full.store.read_cell(digest)
    with pytest.raises(LabError, match="damaged cell"):
        full.store.materialise(part, tmp_path / "out")


def test_an_index_that_leads_to_another_cell_gives_nothing_false(full: Bench) -> None:
    """Nobody need trust an index: what it leads to is held to the digest."""
    part = full.store.find("debian-lab/1").manifest.root
    one, other = (digest for _, digest in full.store.cells(part).cells[:2])
    pack, _ = full.store.known_cells()[one]
    path = full.store.pack_path(pack).with_suffix(".idx")
    data = path.read_bytes()
    path.write_bytes(data.replace(one, b"?" * 32).replace(other, one).replace(b"?" * 32, other))
    with pytest.raises(LabError, match="not the one that was signed"):
        full.store.read_cell(one)


def test_a_list_of_another_partition_is_refused(full: Bench) -> None:
    first, second = (one.manifest.root for one in full.store.images())
    full.store.cells_path(first).write_bytes(full.store.cells_path(second).read_bytes())
    with pytest.raises(LabError, match="not the one that was signed"):
        full.store.cells(first)


def test_cells_have_one_size(full: Bench) -> None:
    part = full.store.find("debian-lab").manifest.root
    assert all(len(full.store.read_cell(digest)) == CELL_SIZE for _, digest in full.store.cells(part).cells)
