"""A disk that is worked on does not start: neither a half-written system, nor the one that was there before.

BIOS needs the code in the first sector and GRUB behind it, UEFI the EFI partition. All of them are taken away before
anything else is written, and come back last of all (`boot`).
"""

from __future__ import annotations

from collections.abc import Sequence

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import DATA, EFI_START, GRUB_START, Found, Layout, is_efi
from lab_tool.imaging.format.cells import CELL_SIZE

# The code of the first sector; behind it stands the old partition table, which is not touched.
CODE = 440


def seal_old(disk: Disk, found: Sequence[Found]) -> None:
    """Make what is on the disk now unbootable, without moving anything. No data partition is touched."""
    first = bytearray(disk.read(0, disk.sector))
    if any(first[:CODE]):
        first[:CODE] = bytes(CODE)
        disk.write(0, bytes(first))
    for part in found:
        length = min(CELL_SIZE, part.size)
        if is_efi(part) and part.start + length <= disk.size and not _is_data(part.start, length, found):
            disk.zero(part.start, length)
    disk.flush()


def _is_data(start: int, length: int, found: Sequence[Found]) -> bool:
    """Whether some of it belongs to a data partition: tables are found whose partitions overlap."""
    return any(one.name == DATA and one.start < start + length and start < one.start + one.size for one in found)


def seal_new(disk: Disk, layout: Layout) -> None:
    """Take away the beginning of all that could be started in the new layout; `Writer.release` brings it back."""
    disk.zero(GRUB_START, CELL_SIZE)
    disk.zero(EFI_START, CELL_SIZE)
    for slot in layout.slots:
        if slot.part is not None and slot.part.is_root:
            disk.zero(slot.start, CELL_SIZE)
    disk.flush()
