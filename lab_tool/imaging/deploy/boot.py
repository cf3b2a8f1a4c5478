"""What makes the disk start: GRUB for BIOS and UEFI, and its menu of the systems that are on the disk.

None of it is part of an image. Written last of all, what starts it at the very end.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab_tool.imaging.deploy.blocks import LONGEST, Disk
from lab_tool.imaging.deploy.layout import CACHE, EFI_SIZE, EFI_START, GRUB_SIZE, GRUB_START, Layout
from lab_tool.imaging.deploy.seal import CODE
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import DeployError, DiskError
from lab_tool.imaging.deploy.volumes import tool
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import Order

LABEL = "LABBOOT"
_SERIAL = "4c414221"
# Whoever sits there may choose an entry, but has no superuser's name to change one or to get GRUB's command line with.
_NOBODY = ('set superusers=""', "export superusers")
# Signed by the distribution for Secure Boot: the firmware starts the first, that the second, and that reads this menu.
_SHIM, _SIGNED, _SIGNED_MENU = "shimx64.efi", "grubx64.efi", "EFI/debian/grub.cfg"
# With two systems somebody may want to choose; with one, a key still brings up the menu.
_SECONDS_TO_CHOOSE, _SECONDS = 10, 2
# Behind this all empty clusters are zeros that need not be written: tables and the first folder end well before it.
_TABLES = 4 * 1024 * 1024


def menu(order: Order, manifests: Sequence[tuple[str, Manifest]], *, healing: bool) -> str:
    """The text of grub.cfg."""
    default = [image for image, _ in manifests].index(order.default.image)
    seconds = _SECONDS_TO_CHOOSE if len(manifests) > 1 else _SECONDS
    style = "menu" if len(manifests) > 1 else "hidden"
    lines = [*_NOBODY, f"set default={default}", f"set timeout={seconds}", f"set timeout_style={style}", ""]
    for _, manifest in manifests:
        title = "".join(char for char in manifest.title if char.isalnum() or char in " ._-")[:60] or manifest.name
        lines.append(f"menuentry '{title} ({manifest.name}/{manifest.version})' --unrestricted {{")
        lines += _windows(manifest) if manifest.family == "windows" else _linux(manifest)
        lines += ["}", ""]
    if healing:
        lines += [
            "menuentry 'Repair this PC from its own copy' --unrestricted {",
            f"  search --no-floppy --label --set=root {CACHE}",
        ]
        lines += ["  linux /deploy/vmlinuz lab.heal=1 quiet", "  initrd /deploy/initrd.img", "}", ""]
    return "\n".join(lines)


def make_efi(situation: Situation, sector: int, text: str, archives: Sequence[bytes]) -> Path:
    """The EFI partition in a file: what the images bring for it, then ours. Raises `DeployError`."""
    situation.scratch.mkdir(parents=True, exist_ok=True)
    tree, made = situation.scratch / "efi", situation.scratch / "efi.img"
    shutil.rmtree(tree, ignore_errors=True)
    made.unlink(missing_ok=True)
    tree.mkdir()
    for archive in archives:
        _unpack(archive, tree)
    area = boot_area(situation)
    ours = {"EFI/BOOT/BOOTX64.EFI": area.get(_SHIM, area["BOOTX64.EFI"]), "grub/grub.cfg": text.encode("utf-8")}
    if _SHIM in area:
        ours |= {f"EFI/BOOT/{_SIGNED}": area[_SIGNED], _SIGNED_MENU: b"configfile /grub/grub.cfg\n"}
    for name, content in ours.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    with made.open("wb") as file:
        file.truncate(EFI_SIZE)
    how = ["-n", LABEL, "-i", _SERIAL, "-S", str(sector), str(made)]
    tool(["mkfs.vfat", *how], "the EFI partition can't be made")
    what = sorted(str(path) for path in tree.iterdir())
    tool(["mtools", "-c", "mcopy", "-s", "-Q", "-i", str(made), *what, "::/"], "the EFI partition can't be filled")
    return made


def make_bootable(disk: Disk, situation: Situation, layout: Layout, efi: Path) -> None:
    """Write what starts the disk, read it back, and only then the beginnings without which nothing of it works."""
    area = boot_area(situation)
    core = area["core.img"].ljust(GRUB_SIZE, b"\0")
    if len(core) > GRUB_SIZE:
        raise DeployError("GRUB does not fit its partition", advice="Build the deploy system again")
    pieces = dict(_pieces(efi))
    first = pieces.pop(0)
    for at, content in pieces.items():
        disk.write(EFI_START + at, content)
    disk.write(GRUB_START, core)
    disk.flush()
    for at, content in pieces.items():
        _check(disk, EFI_START + at, content)
    _check(disk, GRUB_START, core)
    disk.write(EFI_START, first)
    disk.flush()
    _check(disk, EFI_START, first)
    code = area["boot.img"][:CODE] + bytes(disk.read(0, disk.sector)[CODE:])
    disk.write(0, code)
    disk.flush()
    _check(disk, 0, code)


def boot_area(situation: Situation) -> Mapping[str, bytes]:
    """The files that the deploy system carries. Raises `DeployError`."""
    folder = situation.base / "boot-area"
    try:
        signed = (_SHIM, _SIGNED) if (folder / _SHIM).exists() else ()
        return {name: (folder / name).read_bytes() for name in ("boot.img", "core.img", "BOOTX64.EFI", *signed)}
    except OSError as error:
        raise DeployError(
            "this deploy system does not carry what makes a disk start",
            where=str(error.filename),
            advice="Build it again",
        ) from error


def _linux(manifest: Manifest) -> list[str]:
    uuid = manifest.root.uuid
    return [
        f"  search --no-floppy --fs-uuid --set=root {uuid}",
        f"  linux /vmlinuz root=UUID={uuid} ro quiet",
        "  initrd /initrd.img",
    ]


def _windows(manifest: Manifest) -> list[str]:
    return [
        '  if [ "$grub_platform" = efi ]; then',
        f"    search --no-floppy --label --set=root {LABEL}",
        "    chainloader /EFI/Microsoft/Boot/bootmgfw.efi",
        "  else",
        f"    search --no-floppy --fs-uuid --set=root {manifest.root.uuid}",
        "    ntldr /bootmgr",
        "  fi",
    ]


def _unpack(archive: bytes, tree: Path) -> None:
    """Plain files and folders only, below `tree`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for member in opened:
            name = os.path.normpath(member.name)
            place = tree / name
            if name.startswith(("/", "..")) or not (member.isfile() or member.isdir()):
                raise DeployError(f"the image's EFI files hold {member.name!r}", advice="Build the image again")
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            content = opened.extractfile(member)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.read() if content else b"")


def _pieces(efi: Path) -> list[tuple[int, bytes]]:
    """Places and contents in the EFI partition that have to be written."""
    found = []
    with efi.open("rb") as file:
        for at in range(0, EFI_SIZE, _TABLES):
            content = file.read(_TABLES)
            if at == 0 or any(content):
                found.append((at, content))
    return found


def _check(disk: Disk, offset: int, content: bytes) -> None:
    for at in range(0, len(content), LONGEST):
        part = content[at : at + LONGEST]
        if disk.read(offset + at, len(part)) != part:
            raise DiskError(
                "the disk gives back something else than was written to it (what starts it)",
                where=disk.place(offset + at),
                advice="Test the PC's memory and the cable and try once more, else replace the disk",
            )
