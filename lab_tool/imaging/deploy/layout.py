"""Where on a disk everything lies: the same order on the same disk always gives the same places.

1  1 MiB    1 MiB    for GRUB (BIOS)
2  2 MiB  128 MiB    EFI partition, LABBOOT
3 ...                each system's partitions, in the order of its manifest
   lab-cache         where the order asks for one
   lab-data          at the end; one that is there already stays exactly where it is
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab_tool import process
from lab_tool.imaging.deploy import gpt
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.cells import ALIGNMENT
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.order import Order

MIB = 1024 * 1024
GRUB_START, GRUB_SIZE = 1 * MIB, 1 * MIB
EFI_START, EFI_SIZE = 2 * MIB, 128 * MIB
CACHE, DATA = "lab-cache", "lab-data"
_FIRST = EFI_START + EFI_SIZE
# At the end of a disk stands the second copy of the partition table.
_TABLE = 1 * MIB
_TYPES = {
    "grub": "21686148-6449-6E6F-744E-656564454649",
    "efi": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "linux": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "windows": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
}
_NAMES = uuid.UUID("6d0c5b3e-8a0f-5c7e-9d31-2f5a64b3c9e1")


@dataclass(frozen=True, slots=True)
class Slot:
    """A partition of the disk. `part` is what a system's manifest says of it, `image` whose manifest."""

    number: int
    name: str
    start: int
    size: int
    type: str
    guid: str
    image: str = ""
    part: Partition | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A partition that a disk has already."""

    name: str
    type: str
    start: int
    size: int
    guid: str


@dataclass(frozen=True, slots=True)
class Layout:
    """All partitions, by number. `new_data` when the data partition is none that was there."""

    slots: tuple[Slot, ...]
    new_data: bool = False

    def named(self, name: str) -> Slot | None:
        """The one of that name."""
        return next((slot for slot in self.slots if slot.name == name), None)

    def of(self, image: str) -> list[Slot]:
        """Those of a system."""
        return [slot for slot in self.slots if slot.image == image]


def read_table(disk: Disk) -> list[Found]:
    """The partitions that the disk has; none when there is no table that can be read.

    Where the first sector does not lead to a table with names, a data partition that one names all the same is told.
    """
    done = process.run(["sfdisk", "--json", str(disk.path)])
    table = {} if done.code else json.loads(done.out)["partitiontable"]
    found = _listed(disk, table)
    if table.get("label") != "gpt":
        lost = (one for one in gpt.entries(disk) if one.name == DATA)
        found += [Found(one.name, one.type, one.start, one.size, one.guid) for one in lost]
    return found


def _listed(disk: Disk, table: dict[str, Any]) -> list[Found]:
    sector = int(table.get("sectorsize", disk.sector))
    return [
        Found(
            str(part.get("name", "")),
            str(part["type"]).upper(),
            int(part["start"]) * sector,
            int(part["size"]) * sector,
            str(part.get("uuid", "")),
        )
        for part in table.get("partitions", ())
    ]


def is_efi(found: Found) -> bool:
    """Whether firmware starts systems from this partition, by UEFI or with GRUB's own code."""
    return found.type in (_TYPES["efi"], _TYPES["grub"], "EF")


def plan_layout(disk: Disk, order: Order, manifests: Sequence[tuple[str, Manifest]], found: Sequence[Found]) -> Layout:
    """Where everything goes. Raises `DeployError` for a disk that is too small for it, and for what can't be told."""
    _check_names(manifests)
    data = _data(disk, found)
    if data and order.data > data.size:
        raise DeployError(
            f"the data partition has {_gib(data.size)}, and the order asks for {_gib(order.data)}; it is never changed",
            where=str(disk.path),
            advice="Save what is on it and delete it by hand, or ask for less",
        )
    end = data.start if data else (disk.size - _TABLE) // ALIGNMENT * ALIGNMENT - _whole(order.data)
    end -= _whole(order.cache)
    room = end - _FIRST - sum(part.size for _, manifest in manifests for part in manifest.partitions)
    if room < 0:
        kept = " in front of its data partition" if data else ""
        raise DeployError(
            f"the disk is too small: {_gib(-room)} more are needed{kept} ({_gib(disk.size)} in all)",
            where=str(disk.path),
            advice="Use a larger disk, a smaller image, or less for cache and data",
        )
    # Systems side by side get the same share of what is left.
    takers = {image: _last_growing(manifest) for image, manifest in manifests}
    share = room // max(1, sum(part is not None for part in takers.values())) // ALIGNMENT * ALIGNMENT
    slots = [
        Slot(1, "lab-grub", GRUB_START, GRUB_SIZE, _TYPES["grub"], _guid(order, "grub")),
        Slot(2, "LABBOOT", EFI_START, EFI_SIZE, _TYPES["efi"], _guid(order, "efi")),
    ]
    at = _FIRST
    for image, manifest in manifests:
        for part in manifest.partitions:
            size = part.size + (share if part is takers[image] else 0)
            guid = part.guid or _guid(order, f"{image}/{part.name}")
            name = f"{manifest.name}-{part.name}"[:36]
            slots.append(Slot(len(slots) + 1, name, at, size, _type(part, manifest.family), guid, image, part))
            at += size
    if order.cache:
        slots.append(Slot(len(slots) + 1, CACHE, end, _whole(order.cache), _TYPES["linux"], _guid(order, CACHE)))
    if data:
        slots.append(Slot(len(slots) + 1, DATA, data.start, data.size, data.type, data.guid))
    elif order.data:
        start, size = end + _whole(order.cache), _whole(order.data)
        slots.append(Slot(len(slots) + 1, DATA, start, size, _TYPES["linux"], _guid(order, DATA)))
    return Layout(tuple(slots), new_data=bool(order.data) and data is None)


def write_table(disk: Disk, layout: Layout) -> None:
    """Write the partition table. Raises `DeployError`."""
    sector = disk.sector
    lines = ["label: gpt", "unit: sectors", f"sector-size: {sector}"]
    for slot in layout.slots:
        guid = f", uuid={slot.guid}" if slot.guid else ""
        place = f"start={slot.start // sector}, size={slot.size // sector}"
        lines.append(f'{slot.number}: {place}, type={slot.type}{guid}, name="{slot.name}"')
    # The kernel need not know: nothing here goes by its names for partitions.
    argv = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "always", "--wipe-partitions", "never"]
    done = process.run([*argv, str(disk.path)], input="\n".join(lines).encode() + b"\n")
    if done.code:
        raise DeployError(f"the partition table can't be written: {done.error_text}", where=str(disk.path))
    disk.flush()


def _data(disk: Disk, found: Sequence[Found]) -> Found | None:
    """The data partition that is there already. Raises `DeployError` when it is not certain what must stay."""
    named = [part for part in found if part.name == DATA]
    if len(named) > 1 or any(part.start + part.size > disk.size or not part.size for part in named):
        what = "more than one data partition" if len(named) > 1 else "a data partition that reaches beyond its end"
        raise DeployError(
            f"the disk has {what}, and none is ever changed",
            where=str(disk.path),
            advice="Save what is on it, and delete by hand what is not to stay",
        )
    return named[0] if named else None


def _check_names(manifests: Sequence[tuple[str, Manifest]]) -> None:
    """Systems start from, and mount, what has their UUID: two of the same would take each other's."""
    parts = [part for _, manifest in manifests for part in manifest.partitions]
    for names in ([part.uuid.lower() for part in parts], [part.guid.upper() for part in parts]):
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice:
            raise DeployError(
                f"two of the ordered partitions have the same UUID ({twice}): they can't share a disk",
                advice="Order systems of different recipes",
            )


def _last_growing(manifest: Manifest) -> Partition | None:
    return next((part for part in reversed(manifest.partitions) if part.grows), None)


def _guid(order: Order, name: str) -> str:
    return str(uuid.uuid5(_NAMES, f"{order.host}/{name}")).upper()


def _type(part: Partition, family: str) -> str:
    if part.fs == "swap":
        return _TYPES["swap"]
    return _TYPES["windows" if family == "windows" or part.fs in ("ntfs", "vfat") else "linux"]


def _whole(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
