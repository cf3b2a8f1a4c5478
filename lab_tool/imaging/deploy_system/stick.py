"""A USB stick that starts the deploy system on a PC whose firmware can't start from the network."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.deploy_system.boot_area import CORE_SECTOR, LABEL, SIGNED, SIGNED_MENU
from lab_tool.imaging.format.fields import DIGEST

_SERVER = re.compile(r"http://[0-9.]{7,15}(:[0-9]{1,5})?")
_MIB = 1 << 20
# First partition: GRUB for BIOS. Second: the firmware's, with all files.
_FILES_AT = 2 * _MIB
_SPARE = 4 * _MIB
_FILES = ("vmlinuz", "initrd.img", *(f"boot-area/{name}" for name in ("boot.img", "core.img", *SIGNED)))
_TABLE = """label: gpt
first-lba: 34
start={bios}, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=lab-bios
start={files}, size={size}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=lab-boot
"""
# No superuser is named, so nobody can change an entry or get GRUB's command line.
_MENU = """set superusers=""
export superusers
set timeout=3
if serial --unit=0 --speed=115200; then
  terminal_output console serial
fi
menuentry "Image this PC (asks {server})" --unrestricted {{
  linux /vmlinuz console=ttyS0 console=tty0 quiet lab.stick=1 lab.http={server}
  initrd /initrd.img
}}
menuentry "Start from disk" --unrestricted {{
  exit
}}
"""


def make_stick(store_root: Path, deploy: str, path: Path, *, server: str) -> None:
    """Write the stick's content, for BIOS and UEFI, as the disk image `path`, to be copied onto a stick as it is.

    `server` is the image server, `http://ADDRESS` or `http://ADDRESS:PORT`. The stick holds no secret: each PC asks
    that server what it is to become.
    """
    if not _SERVER.fullmatch(server):
        raise UsageError(f"not an image server's address: {server[:80]!r}; it is given as http://ADDRESS")
    folder = store_root / "deploy" / deploy
    if not DIGEST.fullmatch(deploy) or not folder.is_dir():
        raise UsageError(f"there is no deploy system {deploy[:80]!r}", next_command="lab image deploy-system build")
    files = {name: (folder / name).read_bytes() for name in _FILES}
    content = {
        "::/vmlinuz": files["vmlinuz"],
        "::/initrd.img": files["initrd.img"],
        # Signed, so that it also starts where Secure Boot is on.
        "::/EFI/BOOT/BOOTX64.EFI": files["boot-area/shimx64.efi"],
        "::/EFI/BOOT/grubx64.efi": files["boot-area/grubx64.efi"],
        f"::/{SIGNED_MENU}": b"configfile /grub/grub.cfg\n",
        "::/grub/grub.cfg": _MENU.format(server=server).encode("ascii"),
    }
    # At least what FAT32 needs to be one, in whole MiB.
    room = max(40 * _MIB, sum(map(len, content.values())) + _SPARE) // _MIB * _MIB
    with tempfile.TemporaryDirectory(prefix=".stick-", dir=path.parent) as name:
        work = Path(name)
        image = work / "image"
        with image.open("wb") as opened:
            opened.truncate(_FILES_AT + room + _MIB)
        table = _TABLE.format(bios=CORE_SECTOR, files=_FILES_AT // 512, size=room // 512)
        _run(["sfdisk", "--quiet", str(image)], table.encode("ascii"))
        _write_files(work, content, room)
        with image.open("r+b") as opened:
            opened.write(files["boot-area/boot.img"])
            opened.seek(CORE_SECTOR * 512)
            opened.write(files["boot-area/core.img"])
            opened.seek(_FILES_AT)
            opened.write((work / "files.img").read_bytes())
            opened.flush()
            os.fsync(opened.fileno())
        image.rename(path)


def _write_files(work: Path, content: Mapping[str, bytes], room: int) -> None:
    """Make the file system that holds `content`."""
    image = str(work / "files.img")
    _run(["mkfs.vfat", "-F", "32", "--invariant", "-n", LABEL, "-C", image, str(room // 1024)])
    _run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT", "::/EFI/debian", "::/grub"])
    for place, data in content.items():
        _run(["mcopy", "-i", image, "-", place], data)


def _run(argv: Sequence[str], input: bytes = b"") -> None:
    try:
        done = process.run(argv, input=input, env={**os.environ, "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "1"})
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed", next_command="apt install dosfstools fdisk mtools") from None
    if done.code:
        raise LabError(f"the stick's image could not be made: {argv[0]}: {done.error_text}")
