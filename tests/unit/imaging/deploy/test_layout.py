"""Where everything on a disk goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import EFI_SIZE, EFI_START, Found, Layout, plan_layout, read_table, write_table
from lab_tool.imaging.deploy.seal import seal_old
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.order import Order
from lab_tool.process import run
from tests.support.image_made import MIB, NOTHING, Files
from tests.support.image_pc import make_order

GIB = 1024 * MIB


def manifest(name: str, size: int = 2 * GIB, swap: int = 256 * MIB) -> Manifest:
    """An image with a root that grows and swap."""
    parts = (
        Partition("system", "ext4", size, True, NOTHING, size, f"uuid-{name}"),
        Partition("swap", "swap", swap, False, "", 0),
    )
    return Manifest(name, 1, "", "li", "linux", name, "recipe", {}, "", "", parts, (NOTHING,), NOTHING)


def order(*manifests: Manifest, data: int = 0, cache: int = 0) -> Order:
    """An order for them."""
    files = Files(Path("/nowhere"), {one.id: one for one in manifests})
    return make_order(files, [one.id for one in manifests], data=data, cache=cache)


def planned(folder: Path, size: int, *manifests: Manifest, found: tuple[Found, ...] = (), **more: int) -> Layout:
    """Their layout on a disk of that size."""
    path = folder / "disk"
    with path.open("wb") as file:
        file.truncate(size)
    with Disk(path) as disk:
        return plan_layout(disk, order(*manifests, **more), [(one.id, one) for one in manifests], found)


def test_the_one_that_grows_takes_the_room_that_is_left(tmp_path: Path) -> None:
    layout = planned(tmp_path, 16 * GIB, manifest("a"), data=4 * GIB, cache=GIB)
    ends = 0
    for slot in layout.slots:
        assert slot.start >= ends and slot.start % MIB == 0 and slot.size % MIB == 0
        ends = slot.start + slot.size
    assert 16 * GIB - 3 * MIB <= ends < 16 * GIB
    assert [slot.name for slot in layout.slots] == [
        "lab-grub",
        "LABBOOT",
        "a-system",
        "a-swap",
        "lab-cache",
        "lab-data",
    ]
    assert layout.slots[2].start == EFI_START + EFI_SIZE and layout.slots[2].size > 9 * GIB


def test_two_systems_get_the_same_share(tmp_path: Path) -> None:
    layout = planned(tmp_path, 16 * GIB, manifest("a"), manifest("b"))
    sizes = [slot.size for slot in layout.slots if slot.name.endswith("-system")]
    assert len(sizes) == 2 and sizes[0] == sizes[1] > 7 * GIB


def test_data_that_is_there_stays_where_it_is(tmp_path: Path) -> None:
    there = Found("lab-data", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", 10 * GIB, 5 * GIB, "GUID")
    layout = planned(tmp_path, 16 * GIB, manifest("a"), found=(there,), data=4 * GIB)
    kept = layout.slots[-1]
    assert (kept.name, kept.start, kept.size, kept.guid) == ("lab-data", 10 * GIB, 5 * GIB, "GUID")
    assert all(slot.start + slot.size <= 10 * GIB for slot in layout.slots[:-1])


@pytest.mark.parametrize(
    ("start", "data", "said"), [(10 * GIB, 6 * GIB, "never changed"), (GIB, 0, "in front of its data partition")]
)
def test_data_that_is_in_the_way_is_not_touched(tmp_path: Path, start: int, data: int, said: str) -> None:
    there = Found("lab-data", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", start, 5 * GIB, "")
    with pytest.raises(DeployError, match=said):
        planned(tmp_path, 16 * GIB, manifest("a"), found=(there,), data=data)


def test_a_disk_that_is_too_small_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="too small"):
        planned(tmp_path, 2 * GIB, manifest("a"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    layout = planned(tmp_path, 4 * GIB, manifest("a"), data=GIB)
    with Disk(tmp_path / "disk") as disk:
        write_table(disk, layout)
        found = read_table(disk)
        again = plan_layout(disk, order(manifest("a"), data=GIB), [(manifest("a").id, manifest("a"))], found)
    assert [(one.name, one.start, one.size) for one in found] == [(s.name, s.start, s.size) for s in layout.slots]
    assert [(s.name, s.start, s.size) for s in again.slots] == [(s.name, s.start, s.size) for s in layout.slots]


def written(folder: Path) -> Layout:
    """The layout on a disk that was imaged before."""
    layout = planned(folder, 4 * GIB, manifest("a"), data=GIB)
    with Disk(folder / "disk") as disk:
        write_table(disk, layout)
    return layout


def overwritten(path: Path, start: int, content: bytes) -> None:
    """Somebody wrote to the disk."""
    with path.open("r+b") as file:
        file.seek(start if start >= 0 else path.stat().st_size + start)
        file.write(content)


def old_table(path: Path) -> None:
    """Somebody made a table of the old kind."""
    overwritten(path, 0, bytes(512))
    run(["sfdisk", "-q", "-X", "dos", str(path)], input=b"2048\n")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwritten(path, 0, bytes(512)),
        lambda path: overwritten(path, 0, bytes(MIB)),
        lambda path: overwritten(path, 512, bytes(512)),
        lambda path: overwritten(path, 1024, b"x" * 512),
        lambda path: overwritten(path, -MIB, bytes(MIB)),
        old_table,
    ],
)
def test_a_damaged_beginning_or_end_of_the_disk_loses_no_data(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    before = written(tmp_path).named("lab-data")
    damage(tmp_path / "disk")
    with Disk(tmp_path / "disk") as disk:
        found = read_table(disk)
        again = plan_layout(disk, order(manifest("a"), data=GIB), [(manifest("a").id, manifest("a"))], found)
        assert again.named("lab-data") == before and before is not None and not again.new_data
        write_table(disk, again)
        assert [(one.name, one.guid) for one in read_table(disk)] == [(one.name, one.guid) for one in again.slots]


@pytest.mark.parametrize("damage", [bytes(92), b"EFI PART" + b"\xff" * 84, b"EFI PART" + bytes(84)])
def test_what_is_no_table_names_no_data(tmp_path: Path, damage: bytes) -> None:
    written(tmp_path)
    overwritten(tmp_path / "disk", 0, bytes(512))
    for start in (512, -512):
        overwritten(tmp_path / "disk", start, damage)
    with Disk(tmp_path / "disk") as disk:
        assert read_table(disk) == []


def test_data_stays_at_a_power_cut_at_each_write_of_the_table(tmp_path: Path) -> None:
    before, path, cut = written(tmp_path).named("lab-data"), tmp_path / "disk", tmp_path / "cut"
    run(["cp", "--sparse=always", str(path), str(cut)])
    with Disk(path) as disk:
        again = plan_layout(disk, order(manifest("b")), [(manifest("b").id, manifest("b"))], read_table(disk))
        write_table(disk, again)
    end = path.stat().st_size
    # The copy, then the table, each before its header; what names a table at all comes last.
    for start, length in ((end - 33 * 512, 32 * 512), (end - 512, 512), (1024, 32 * 512), (512, 512), (0, 512)):
        with path.open("rb") as new:
            new.seek(start)
            overwritten(cut, start, new.read(length))
        with Disk(cut) as disk:
            kept = plan_layout(disk, order(manifest("b")), [(manifest("b").id, manifest("b"))], read_table(disk))
        assert kept.named("lab-data") == before and not kept.new_data


def test_two_data_partitions_or_one_that_ends_nowhere_are_not_chosen_from(tmp_path: Path) -> None:
    def there(start: int) -> Found:
        return Found("lab-data", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", start, 2 * GIB, "")

    with pytest.raises(DeployError, match="more than one data partition"):
        planned(tmp_path, 16 * GIB, manifest("a"), found=(there(10 * GIB), there(13 * GIB)))
    with pytest.raises(DeployError, match="reaches beyond"):
        planned(tmp_path, 16 * GIB, manifest("a"), found=(there(15 * GIB),))


def test_two_systems_that_would_start_each_other_s_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="same UUID"):
        planned(tmp_path, 16 * GIB, manifest("a"), manifest("a"))


def test_what_is_to_start_no_more_is_not_looked_for_in_the_data(tmp_path: Path) -> None:
    path, efi = tmp_path / "disk", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    path.write_bytes(b"d" * 16 * MIB)
    found = [
        Found("lab-data", efi, 8 * MIB, 4 * MIB, ""),
        Found("inside", efi, 9 * MIB, MIB, ""),
        Found("into", efi, 8 * MIB - 512, MIB, ""),
        Found("beyond", efi, 64 * MIB, MIB, ""),
        Found("real", efi, 2 * MIB, MIB, ""),
    ]
    with Disk(path) as disk:
        seal_old(disk, found)
    content = path.read_bytes()
    assert content[8 * MIB : 12 * MIB] == b"d" * 4 * MIB
    assert not any(content[2 * MIB : 2 * MIB + 256 * 1024])
