"""A Windows in a WIM file becomes a partition: a new NTFS that holds it, and what is known of it.

The WIM is Microsoft's own install.wim, or one that was captured of a reference PC after `sysprep /generalize /oobe`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import xml.etree.ElementTree as Xml
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.programs import tool
from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.deploy.personal_windows import GENERALIZED, SETUP_STATE
from lab_tool.imaging.format.cells import ALIGNMENT
from lab_tool.imaging.store.draft import Draft, DraftPartition

DRIVERS = ("Lab", "Drivers")
_AMD64 = "9"
_SOFTWARE = "/Windows/System32/config/SOFTWARE"
_NEEDED = (_SOFTWARE, "/Windows/System32/config/SYSTEM", "/Windows/System32/OpenSSH/sshd.exe")
_BLOCK = re.compile(
    r'^Full Path += "(?P<path>/[^\n]*)"$.*?^Attributes += 0x(?P<attributes>[0-9a-f]+)$'
    r".*?^Hash += 0x(?P<hash>[0-9a-f]{40})$.*?^Uncompressed size += (?P<size>\d+) bytes$",
    re.MULTILINE | re.DOTALL,
)
_FOLDER_ATTRIBUTE = 0x10
_SERIAL = struct.Struct("<Q")
_SERIAL_AT = 0x48
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class WimImage:
    """One of the images in a WIM file. `files` by path: attributes, size and SHA-1, as the WIM says; no folders."""

    file: Path
    index: int
    release: Mapping[str, str]
    files: Mapping[str, str]


def draft_of_wim(
    file: Path,
    index: int,
    folder: Path,
    *,
    name: str,
    title: str,
    size: int,
    drivers: Path | None = None,
    esp: Path | None = None,
    guid: str = "",
    parent: str = "",
    changes: str = "",
) -> Draft:
    """The draft of an image that is a Windows; its partition is made in `folder` and has `size` bytes, whole MiB.

    `drivers` is a folder of driver packages (.inf and what they name) that Windows installs at its first start, `esp` a
    tar of files for the EFI partition, `guid` the one that its start files know the partition by. Raises `LabError`.
    """
    wim = read_wim(file, index)
    check_wim(wim, folder)
    volume = folder / "windows.ntfs"
    make_partition(wim, volume, size, serial=_serial(name), drivers=drivers)
    system = DraftPartition(
        name="system",
        fs="ntfs",
        size=size,
        grows=True,
        uuid=f"{_serial(name):016X}",
        guid=guid,
        device=volume,
        used=tuple(used_ranges(volume, "ntfs")),
    )
    return Draft(
        name=name,
        family="windows",
        title=title,
        kind="recipe",
        source={"wim": file.name, "index": str(index), "sha256": _digest(file)},
        partitions=(system,),
        contents={"packages": {"windows": wim.release.get("version", "")}, "files": wim.files},
        parent=parent,
        changes=changes,
        esp=esp,
        release=wim.release,
    )


def read_wim(file: Path, index: int) -> WimImage:
    """What the WIM says of one of its images. Raises `LabError`: no WIM, a damaged one, no such image."""
    if not file.is_file():
        raise LabError("there is no such file", where=str(file))
    what = f"{file.name} can't be read"
    told = tool("wimlib-imagex", "info", file, "--xml", what=what).out
    images = {entry.get("INDEX"): entry for entry in _xml(told, file).iter("IMAGE")}
    image = images.get(str(index))
    if image is None:
        raise LabError(f"it holds no image {index}; there are {', '.join(map(str, images))}", where=str(file))
    listed = tool("wimlib-imagex", "dir", file, str(index), "--detailed", what=what).out.decode(errors="replace")
    files = {}
    for block in listed.split("-" * 76):
        match = _BLOCK.search(block)
        if match and not int(match["attributes"], 16) & _FOLDER_ATTRIBUTE:
            files[match["path"]] = f"{match['attributes']} {match['size']} {match['hash'][:16]}"
    return WimImage(file, index, _release(image), files)


def check_wim(wim: WimImage, folder: Path) -> None:
    """Raises `LabError` unless it is a Windows for our PCs that starts anew on each and can be reached there."""
    where = f"{wim.file}, image {wim.index}"
    places = {path.casefold(): path for path in wim.files}
    lacking = [path for path in _NEEDED if path.casefold() not in places]
    if lacking:
        missing = ", ".join(lacking)
        raise LabError(f"this is no Windows that PCs can be made of: it has no {missing}", where=where)
    if wim.release.get("architecture", _AMD64) != _AMD64:
        raise LabError("this Windows is not for 64-bit PCs (amd64)", where=where)
    hive = folder / "hive"
    hive.mkdir()
    try:
        software = places[_SOFTWARE.casefold()]
        argv = ("wimlib-imagex", "extract", wim.file, str(wim.index), software, f"--dest-dir={hive}")
        tool(*argv, "--no-acls", "--no-attributes", what=f"{wim.file.name} can't be read")
        key = "\\".join(SETUP_STATE)
        read = tool("hivexget", hive / Path(software).name, key, "ImageState", what="its registry", accept=(0, 1))
    finally:
        shutil.rmtree(hive)
    state = read.out.decode(errors="replace").strip()
    if state != GENERALIZED:
        raise LabError(
            f"this Windows was not prepared for copies of it (its state is {state or 'unknown'})",
            where=where,
            next_command="in it: sysprep /generalize /oobe /shutdown; then capture it again",
        )


def make_partition(wim: WimImage, volume: Path, size: int, *, serial: int, drivers: Path | None = None) -> None:
    """Write the file `volume`: a new NTFS of `size` bytes with the Windows in it. Raises `LabError`.

    From the same WIM come the same bytes, but for the dates on which file records were last changed.
    """
    if size % ALIGNMENT or not size:
        raise LabError(f"a partition of {size} bytes, which is no multiple of 1 MiB")
    with volume.open("wb") as opened:
        opened.truncate(size)
    geometry = ("--sector-size", "512", "--partition-start", "2048", "--heads", "255", "--sectors-per-track", "63")
    options = ("--quiet", "--fast", "--force", "--zero-time", "--label", "Windows")
    tool("mkntfs", *options, *geometry, volume, what="a new file system (ntfs)")
    what = f"the Windows of {wim.file.name} in a partition of {size // ALIGNMENT} MiB"
    tool("wimlib-imagex", "apply", wim.file, str(wim.index), volume, what=what)
    if drivers is not None:
        _add_drivers(volume, drivers)
    _set_serial(volume, size, serial)
    ntfs.inspect(volume)
    ntfs.check_second_boot_sector(volume)


def _add_drivers(volume: Path, drivers: Path) -> None:
    packages = sorted(path for path in drivers.rglob("*") if path.is_file() and not path.is_symlink())
    if not any(path.suffix.casefold() == ".inf" for path in packages):
        raise LabError("there is no driver package (.inf) in that folder", where=str(drivers))
    with ntfs.mounted(volume) as root:
        for path in packages:
            into = ntfs.folder(root, *DRIVERS, *path.relative_to(drivers).parent.parts)
            ntfs.put(into / path.name, path.read_bytes(), readable=True)


def _set_serial(volume: Path, size: int, serial: int) -> None:
    """In the boot sector and in its copy at the end."""
    with volume.open("r+b") as opened:
        for start in (0, size - _SECTOR):
            opened.seek(start + _SERIAL_AT)
            opened.write(_SERIAL.pack(serial))


def _serial(name: str) -> int:
    """The volume's id: the same for every version of an image."""
    return int.from_bytes(hashlib.sha256(f"lab-image {name}".encode()).digest()[:8], "big")


def _release(image: Xml.Element) -> dict[str, str]:
    def text(path: str) -> str:
        return (image.findtext(path) or "").strip()

    version = [text(f"WINDOWS/VERSION/{part}") for part in ("MAJOR", "MINOR", "BUILD", "SPBUILD")]
    facts = {
        "id": "windows",
        "title": text("DISPLAYNAME") or text("NAME"),
        "version": ".".join(filter(None, version)),
        "edition": text("WINDOWS/EDITIONID"),
        "languages": " ".join(filter(None, (entry.text for entry in image.iter("LANGUAGE")))),
        "architecture": text("WINDOWS/ARCH"),
    }
    return {name: value for name, value in facts.items() if value}


def _xml(told: bytes, file: Path) -> Xml.Element:
    try:
        return Xml.fromstring(told.decode("utf-16"))
    except (UnicodeDecodeError, Xml.ParseError) as error:
        raise LabError("what the WIM says of itself can't be read", where=str(file)) from error


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
