"""Start files of a Windows, which come in an archive, are made to start the one on this disk."""

from __future__ import annotations

import io
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import bcd
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import Layout, Slot
from lab_tool.imaging.format.manifest import Manifest

# Where the header of a GPT, in the second sector, has the disk's own GUID.
_DISK = slice(56, 72)
_EFI = "LABBOOT"


def pointed(
    disk: Disk, layout: Layout, manifests: Sequence[tuple[str, Manifest]], archives: Sequence[bytes]
) -> list[bytes]:
    """The archives, one for each manifest that has one, with BCDs that name this disk's own. Raises `LabError`."""
    bringing = [(image, manifest) for image, manifest in manifests if manifest.esp]
    return [
        point_archive(archive, target_of(disk, layout, _root(layout, image)))
        if manifest.family == "windows"
        else archive
        for (image, manifest), archive in zip(bringing, archives, strict=True)
    ]


def target_of(disk: Disk, layout: Layout, system: Slot) -> bcd.Target:
    """The GUIDs that lead to the partition, as they stand in the table that was written."""
    efi = layout.named(_EFI)
    if efi is None:
        raise LabError("this disk has no EFI partition", where=str(disk.path))
    header = bytes(disk.read(disk.sector, disk.sector))
    return bcd.Target(uuid.UUID(bytes_le=header[_DISK]), uuid.UUID(efi.guid), uuid.UUID(system.guid))


def point_archive(archive: bytes, target: bcd.Target) -> bytes:
    """The archive with another BCD, everything else as it is. Raises `LabError`: there is none, or no archive."""
    made, wanted = io.BytesIO(), "/".join(bcd.PLACE).casefold()
    seen = False
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=made, mode="w") as new:
            for member in old:
                opened = old.extractfile(member)
                content = opened.read() if opened else b""
                if member.name.casefold() == wanted:
                    content, seen = _pointed(content, target), True
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
    except tarfile.TarError as error:
        raise LabError(f"the image's EFI files are no archive: {error}") from error
    if not seen:
        raise LabError("the image's EFI files start no Windows: there is no BCD")
    return made.getvalue()


def _root(layout: Layout, image: str) -> Slot:
    return next(slot for slot in layout.of(image) if slot.part is not None and slot.part.is_root)


def _pointed(content: bytes, target: bcd.Target) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lab-bcd-") as folder:
        place = Path(folder, "BCD")
        place.write_bytes(content)
        bcd.point(place, target)
        return place.read_bytes()
