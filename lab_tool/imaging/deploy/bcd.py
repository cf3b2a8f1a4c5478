"""Boot Configuration Data of Windows: which partition of which disk its start files go on to. It is a registry hive.

The bytes of a device are not Microsoft's to document; they are as bcdedit writes them and other free tools read them. A
device that names no partition ("boot", "locate", what `sysprep /generalize` leaves) is right on any disk and stays.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy.hive import Hive
from lab_tool.imaging.deploy.registry import Setting

PLACE = ("EFI", "Microsoft", "Boot", "BCD")
# The boot manager and the memory test lie in the EFI partition, loaders of a Windows in that of the Windows.
_IN_EFI = ("{9dea862c-5cdd-4e70-acc1-f32b344d4795}", "{b2721d73-1db4-4c62-bf78-c548a880142d}")
# The partition of the program that is started, and that of the system it then starts.
_ELEMENTS = ("11000001", "21000001")
# Another object's id, kind, flags, size, (unused), partition, kind of disk, style of its table, disk, (unused).
_DEVICE = struct.Struct("<16sIIII16sII16s16x")
_PARTITION, _GPT, _HEAD = 6, 0, 16
_BINARY = 3


@dataclass(frozen=True, slots=True)
class Target:
    """GUIDs: of the disk, of its EFI partition and of the partition that holds the Windows."""

    disk: uuid.UUID
    efi: uuid.UUID
    windows: uuid.UUID


def point(bcd: Path, target: Target) -> int:
    """Make every device in the file that names a partition name the right one of this disk; how many were changed.

    Raises `LabError`: no such hive, or one that starts no Windows.
    """
    hive = Hive(bcd)
    loaders = 0
    for name in hive.keys(("Objects",)):
        partition = target.efi if name.casefold() in _IN_EFI else target.windows
        for element in _ELEMENTS:
            key = ("Objects", name, "Elements", element)
            stored = hive.value(key, "Element")
            if stored is None:
                continue
            loaders += element == "21000001"
            if _names_partition(stored[1]):
                hive.put(Setting("BCD", key, "Element", _BINARY, device(partition, target.disk)))
    if not loaders:
        raise LabError("these start files start no Windows", where=bcd.name)
    return hive.store()


def device(partition: uuid.UUID, disk: uuid.UUID) -> bytes:
    """The bytes of the device that is a partition of a disk with a GPT."""
    size = _DEVICE.size - _HEAD
    return _DEVICE.pack(bytes(16), _PARTITION, 0, size, 0, partition.bytes_le, 0, _GPT, disk.bytes_le)


def partition_of(data: bytes) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The partition and the disk that a device names; None where it names none on a disk with a GPT."""
    if not _names_partition(data):
        return None
    fields = _DEVICE.unpack(data)
    return uuid.UUID(bytes_le=fields[5]), uuid.UUID(bytes_le=fields[8])


def _names_partition(data: bytes) -> bool:
    if len(data) != _DEVICE.size:
        return False
    fields = _DEVICE.unpack(data)
    return bool(fields[1] == _PARTITION and fields[7] == _GPT)
