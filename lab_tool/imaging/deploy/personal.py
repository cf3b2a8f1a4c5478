"""Makes the systems on the disk those of this PC, and makes what belongs to no image: swap, data."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab_tool.imaging.deploy import personal_linux, volumes
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import DATA, Layout, Slot
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import Order

if TYPE_CHECKING:
    from lab_tool.imaging.deploy.image import Plan

# NTFS says in its first sector how far from the disk's beginning it lies; its loader goes by that.
_HIDDEN_SECTORS = 0x1C


def personalise(disk: Disk, layout: Layout, plan: Plan, facts: Mapping[str, object]) -> tuple[str, ...]:
    """Make all systems this PC's; the public lines of the SSH host keys of the one that starts. Raises `LabError`."""
    data = _data(disk, layout)
    host_keys: tuple[str, ...] = ()
    for image, manifest in plan.manifests:
        identity = {
            **facts,
            "image": image,
            "name": manifest.name,
            "version": manifest.version,
            "order": plan.order.id,
            "host": plan.order.host,
        }
        slots = layout.of(image)
        if manifest.family == "windows":
            lines = _windows(disk, slots, plan.order, identity)
        else:
            lines = _linux(disk, slots, manifest, plan, identity, data)
        if image == plan.order.default.image:
            host_keys = lines
    disk.flush()
    return host_keys


def _data(disk: Disk, layout: Layout) -> str:
    """The line of fstab for the data partition, which gets a file system only when it has none."""
    slot = layout.named(DATA)
    if slot is None:
        return ""
    if volumes.is_empty(disk, slot):
        with volumes.device_of(disk, slot) as device:
            volumes.make_file_system(device, DATA)
    # Not by the name that is written in it: whoever sat at this PC may have written anything there.
    return f"PARTUUID={slot.guid.lower()} /srv/data auto defaults,nofail,nosuid,nodev 0 2"


def _linux(
    disk: Disk, slots: list[Slot], manifest: Manifest, plan: Plan, identity: Mapping[str, object], data: str
) -> tuple[str, ...]:
    root = manifest.root
    how = "defaults,errors=remount-ro" if root.fs == "ext4" else "defaults"
    mounts = [f"UUID={root.uuid} / {root.fs} {how} 0 {1 if root.fs == 'ext4' else 0}"]
    for slot in slots:
        part = slot.part
        if part is None or part is root:
            continue
        with volumes.device_of(disk, slot) as device:
            if part.fs == "swap":
                volumes.make_swap(device, part.uuid)
                mounts.append(f"UUID={volumes.uuid_of(device)} none swap sw 0 0")
            elif slot.size > part.size:
                volumes.grow(device, part.fs)
    mounts += [data] if data else []
    slot = next(slot for slot in slots if slot.part is root)
    with volumes.device_of(disk, slot) as device:
        if slot.size > root.size:
            volumes.grow(device, root.fs)
        with volumes.mounted(device, root.fs) as folder:
            kept = plan.kept.get(manifest.name)
            lines = personal_linux.personalise(folder, plan.order, identity, mounts, kept)
        with volumes.mounted(device, root.fs, write=False) as folder:
            personal_linux.check(folder, plan.order, identity, lines)
    return lines


def _windows(disk: Disk, slots: list[Slot], order: Order, identity: Mapping[str, object]) -> tuple[str, ...]:
    # Only where there is a Windows to be made: the others do without its tools.
    from lab_tool.imaging.deploy import personal_windows

    for slot in slots:
        if slot.part is not None and slot.part.fs == "ntfs":
            _say_where(disk, slot)
    slot = next(slot for slot in slots if slot.part is not None and slot.part.is_root)
    with volumes.device_of(disk, slot) as device:
        return personal_windows.personalise(device, order, identity)


def _say_where(disk: Disk, slot: Slot) -> None:
    """Put the place of the partition into the first sector of an NTFS and into the copy of it at its end."""
    first = bytearray(disk.read(slot.start, 4096))
    sector, sectors = struct.unpack_from("<11xH27xQ", first)
    struct.pack_into("<I", first, _HIDDEN_SECTORS, slot.start // disk.sector & 0xFFFFFFFF)
    disk.write(slot.start, bytes(first))
    copy = slot.start + sectors * sector
    block = copy // 4096 * 4096
    last = bytearray(disk.read(block, 4096))
    last[copy - block : copy - block + 512] = first[:512]
    disk.write(block, bytes(last))
    disk.flush()
