"""Files for the EFI partition, which a Windows brings along, in an archive: the same files make the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from lab_tool.errors import LabError

# Our own start file lies there; a Windows is started from its own folder.
_OURS = ("efi/boot/", "grub/")
_WINDOWS = ("efi/microsoft/boot/bootmgfw.efi", "efi/microsoft/boot/bcd")
# The EFI partition has 128 MiB, of which our own files need a part.
LARGEST = 96 * 1024 * 1024
_LOGS = (".log", ".log1", ".log2")


def pack_esp(folder: Path, archive: Path) -> Path:
    """Write a tar of what is in a copy of an EFI partition, but for what is ours there, and return its path.

    Raises `LabError`: no start files of a Windows, too much for the partition, or names that FAT can't tell apart.
    """
    if not folder.is_dir():
        raise LabError("there is no such folder", where=str(folder))
    files = dict(_files(folder))
    if len({name.casefold() for name in files}) != len(files):
        raise LabError("names that differ in case only", where=str(folder))
    lacking = [name for name in _WINDOWS if name not in {known.casefold() for known in files}]
    if lacking:
        raise LabError(f"these files start no Windows: there is no {', '.join(lacking)}", where=str(folder))
    size = sum(path.stat().st_size for path in files.values())
    if size > LARGEST:
        raise LabError(f"{size} bytes are too many for an EFI partition: at most {LARGEST}", where=str(folder))
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return archive


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # Logs of the BCD are of the past, and would be played into the one that is changed on the PC.
        if name.casefold().startswith(_OURS) or path.suffix.casefold() in _LOGS:
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise LabError("this is no file that an EFI partition can hold", where=str(path))
        if path.is_file():
            first, _, rest = name.partition("/")
            # One folder with ours, however that PC spelled it.
            yield (f"EFI/{rest}" if first.casefold() == "efi" else name), path
