"""Adding a version: what is in it, what it costs, and that a half one is never seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_tool.errors import LabError, LogWriteError, UsageError
from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.store import adding, threads
from lab_tool.imaging.store.adding import add
from lab_tool.imaging.store.draft import DraftPartition
from lab_tool.imaging.store.reading import read_cell, used_of, wanted_cells
from lab_tool.imaging.store.whole import verify
from tests.unit.imaging.store.conftest import CONTENTS, MIB, Bench, no_signature, noise

Cells = Callable[..., bytes]


def test_what_comes_out_is_what_was_put_in(bench: Bench, cells: Cells, tmp_path: Path) -> None:
    content = cells(1, 2, 0, 3, 0, 0, 0, 0)
    added = bench.add(content)
    one = bench.store.find("debian-lab")
    assert one.id == added.image.id == hashlib.sha256(one.data).hexdigest()
    bench.store.materialise(one.manifest.root, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    assert bench.store.contents(one.manifest) == CONTENTS
    swap = one.manifest.partitions[1]
    assert (swap.fs, swap.cells, swap.used) == ("swap", "", 0)
    assert verify(bench.store).damage == ()


def test_zeros_take_no_room_where_it_is_written_out(bench: Bench, cells: Cells, tmp_path: Path) -> None:
    bench.add(cells(1, *[0] * 63))
    bench.store.materialise(bench.store.find("debian-lab").manifest.root, tmp_path / "out")
    found = (tmp_path / "out").stat()
    assert (found.st_size, found.st_blocks * 512 <= 2 * CELL_SIZE) == (16 * MIB, True)


def test_what_lies_in_unused_blocks_stays_behind(bench: Bench, tmp_path: Path) -> None:
    """A file that was deleted before the image was made is on nobody's PC."""
    content = bytearray(noise(1, MIB))
    content[5000:5006] = b"secret"
    bench.add(bytes(content), used=((0, 4096), (8192, 12288), (CELL_SIZE * 2, CELL_SIZE * 2 + 1)))
    part = bench.store.find("debian-lab").manifest.root
    assert [number for number, _ in bench.store.cells(part).cells] == [0, 2]
    bench.store.materialise(part, tmp_path / "out")
    out = (tmp_path / "out").read_bytes()
    assert out[:4096] == content[:4096]
    assert out[8192:12288] == content[8192:12288]
    assert out[CELL_SIZE * 2] == content[CELL_SIZE * 2]
    assert out.count(0) >= MIB - 8193
    assert b"secret" not in out


def test_a_device_that_ends_early_goes_on_with_zeros(bench: Bench) -> None:
    bench.add(noise(1, CELL_SIZE + 5))
    part = bench.store.find("debian-lab").manifest.root
    assert part.size == MIB
    digest = bench.store.cells(part).cells[1][1]
    assert bench.store.read_cell(digest) == noise(1, CELL_SIZE + 5)[CELL_SIZE:].ljust(CELL_SIZE, b"\0")


def test_a_new_version_costs_what_is_new_in_it(bench: Bench, cells: Cells) -> None:
    first = bench.add(cells(1, 2, 3, 4))
    second = bench.add(cells(1, 9, 3, 4))
    assert (second.image.manifest.version, second.cells, second.new_cells) == (2, 4, 1)
    assert second.new_bytes < first.new_bytes / 3
    assert set(first.image.manifest.packs) < set(second.image.manifest.packs)
    same = bench.add(cells(1, 9, 3, 4))
    assert (same.new_cells, same.new_bytes) == (0, 0)
    assert same.image.manifest.packs == second.image.manifest.packs
    assert same.image.manifest.root.cells == second.image.manifest.root.cells


def test_only_packs_with_cells_of_the_image_are_named(bench: Bench, cells: Cells) -> None:
    bench.add(cells(1, 2, 3, 4))
    assert len(bench.add(cells(5, 6, 7, 8)).image.manifest.packs) == 1


def test_a_cell_that_is_there_twice_is_kept_once(bench: Bench, cells: Cells) -> None:
    added = bench.add(cells(1, 1, 1, 1))
    assert (added.cells, added.new_cells) == (4, 1)


@pytest.mark.parametrize("number", [1, 2, 8])
def test_the_bytes_do_not_depend_on_the_threads(
    bench: Bench, cells: Cells, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(adding, "THREADS", number)
    monkeypatch.setattr(threads, "AHEAD", 4 * number)
    content = cells(1, 2, 1, 3, 2, 2, 1, 4)
    bench.add(content)
    names = {name for name in bench.files() if name.startswith(("packs", "cells"))}
    assert names == expected_names(content)


def expected_names(content: bytes) -> set[str]:
    """The names of lists and packs, by the published formats alone."""
    import zstandard

    from lab_tool.imaging.format.packs import LEVEL

    parts = [content[at : at + CELL_SIZE] for at in range(0, len(content), CELL_SIZE)]
    listed = CellList(len(content), [(at, hashlib.sha256(part).digest()) for at, part in enumerate(parts)])
    frames = (
        zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(part) for part in dict.fromkeys(parts)
    )
    pack = hashlib.sha256(b"".join(frames)).hexdigest()
    return {f"cells/{listed.digest}", f"packs/{pack}.pack", f"packs/{pack}.idx"}


def test_files_for_the_efi_partition_come_along(bench: Bench, cells: Cells, tmp_path: Path) -> None:
    esp = tmp_path / "esp.tar"
    esp.write_bytes(b"files" * 1000)
    one = bench.add(cells(1, 2, 3, 4), esp=esp).image
    kept = bench.store.esp_path(one.manifest)
    assert kept is not None
    assert kept.read_bytes() == esp.read_bytes()


def test_each_name_counts_by_itself(bench: Bench, cells: Cells) -> None:
    content = cells(1, 2, 3, 4)
    for name in ("debian-lab", "windows-lab", "debian-lab"):
        bench.add(content, name=name)
    assert bench.versions() == ["debian-lab/1", "debian-lab/2", "windows-lab/1"]


def _part(**fields: Any) -> tuple[DraftPartition, ...]:
    usual: dict[str, Any] = {"name": "system", "fs": "ext4", "size": MIB, "device": Path("/dev/null")}
    return (DraftPartition(**{**usual, **fields}),)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Debian Lab"}, "name is"),
        ({"family": "beos"}, "family is"),
        ({"kind": "theft"}, "kind is"),
        ({"parent": "debian-lab/1"}, "parent is"),
        ({"partitions": _part(name="home")}, "exactly one partition named system"),
        ({"partitions": _part() + _part()}, "exactly one partition named system"),
        ({"partitions": _part(size=MIB + 1)}, "no multiple of 1 MiB"),
        ({"partitions": _part(fs="zfs")}, "fs is"),
        ({"partitions": _part(device=None)}, "from somewhere: system"),
        ({"partitions": _part() + _part(name="swap", fs="swap")}, "comes from nowhere"),
        ({"partitions": _part(used=((0, MIB + 1),))}, "can't use bytes"),
        ({"partitions": _part(used=((5, 4),))}, "can't use bytes"),
        ({"partitions": _part(device=Path("/nowhere"))}, "No such file"),
    ],
)
def test_what_can_t_become_an_image(bench: Bench, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=words):
        bench.add(b"x", **fields)
    assert bench.versions() == []
    assert bench.files() == {}


@pytest.mark.parametrize("refuses", ["sign", "record"])
def test_what_is_not_signed_or_not_recorded_is_not_there(bench: Bench, cells: Cells, refuses: str) -> None:
    def refuse(_: object) -> NoReturn:
        raise LogWriteError("no")

    sign = refuse if refuses == "sign" else no_signature
    draft = bench.draft(cells(1, 2, 3, 4))
    with pytest.raises(LogWriteError):
        add(bench.store, draft, sign, "2026", "tech", refuse)
    assert bench.versions() == []
    assert not list((bench.store.root / "images").iterdir())


def test_it_is_recorded_before_it_can_be_seen(bench: Bench, cells: Cells) -> None:
    seen: list[tuple[str, list[str]]] = []

    def record(added: adding.Added) -> None:
        seen.append((added.image.ref, bench.versions()))

    add(bench.store, bench.draft(cells(1, 2, 3, 4)), no_signature, "2026", "tech", record)
    assert seen == [("debian-lab/1", [])]


def test_what_the_disk_made_of_it_is_read_back(bench: Bench, cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that keeps something else than it was given is noticed before anybody is told of a new version."""
    kept = adding._write_lists

    def keep(*arguments: Any) -> None:
        kept(*arguments)
        (pack,) = (bench.store.root / "packs").glob("*.pack")
        pack.write_bytes(pack.read_bytes()[:-1] + b"?")

    monkeypatch.setattr(adding, "_write_lists", keep)
    with pytest.raises(LabError, match="not what was read back"):
        bench.add(cells(1, 2, 3, 4))
    assert bench.versions() == []


def test_a_version_that_can_t_be_read_has_a_number_too(bench: Bench, cells: Cells) -> None:
    """Else the next one would get it again."""
    one = bench.add(cells(1, 2, 3, 4)).image
    (bench.store.root / "images" / one.id / "manifest.json").write_bytes(b"{}")
    with pytest.raises(LabError, match="nobody knows which version comes next"):
        bench.add(cells(1, 2, 3, 5))


def test_no_new_version_stands_on_damaged_cells(bench: Bench, cells: Cells) -> None:
    first = bench.add(cells(1, 2, 3, 4)).image
    path = bench.store.pack_path(first.manifest.packs[0])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(LabError, match="damaged cell") as caught:
        bench.add(cells(1, 2, 5, 4))
    assert caught.value.next_command == "lab image verify"
    assert bench.versions() == ["debian-lab/1"]
    assert bench.add(cells(1, 2, 3, 5)).image.manifest.version == 2


def test_versions_go_by_name_number_and_id(bench: Bench, cells: Cells) -> None:
    first, second = bench.add(cells(1, 2, 3, 4)).image, bench.add(cells(1, 2, 3, 5)).image
    store = bench.store
    assert store.get("debian-lab") == (second.id, second.manifest)
    assert store.get("debian-lab/1")[0] == first.id
    assert store.get(first.id[:12])[0] == store.get(first.id)[0] == first.id
    for ref in ("debian-lap", "debian-lab/3", "debian-lab/", "0" * 64, "../..", "", first.id[:7]):
        with pytest.raises(UsageError, match="there is no image"):
            store.find(ref)


ranges = st.lists(st.tuples(st.integers(0, 3 * MIB), st.integers(0, 300_000)), max_size=12).map(
    lambda pairs: tuple((start, min(start + length, 3 * MIB)) for start, length in pairs)
)


@settings(deadline=None)
@given(ranges)
def test_cells_hold_what_is_used_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, used: Any) -> None:
    """For any ranges, in any order, overlapping or empty: the same as painting them on zeros."""
    path = tmp_path_factory.mktemp("device") / "device"
    content = noise(7, 3 * MIB - 1000)
    path.write_bytes(content)
    painted = bytearray(3 * MIB)
    for start, end in used:
        part = content[start:end]
        painted[start : start + len(part)] = part
    touched = {
        number for start, end in used if start < end for number in range(start // CELL_SIZE, -(-end // CELL_SIZE))
    }
    with path.open("rb") as file:
        found = {
            cell.number: read_cell(file.fileno(), cell)
            for cell in wanted_cells(used_of(DraftPartition("system", "ext4", 3 * MIB, used=used)))
        }
    assert set(found) == touched
    for number, cell in found.items():
        assert cell == bytes(painted[number * CELL_SIZE : (number + 1) * CELL_SIZE])
