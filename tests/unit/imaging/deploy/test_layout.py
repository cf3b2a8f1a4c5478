"""Where everything on a disk goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import EFI_SIZE, EFI_START, Found, Layout, plan_layout, read_table, write_table
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.order import Order
from tests.support.image_made import MIB, NOTHING, Files
from tests.support.image_pc import make_order

GIB = 1024 * MIB


def manifest(name: str, size: int = 2 * GIB, swap: int = 256 * MIB) -> Manifest:
    """An image with a root that grows and swap."""
    parts = (
        Partition("system", "ext4", size, True, NOTHING, size, "u"),
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
