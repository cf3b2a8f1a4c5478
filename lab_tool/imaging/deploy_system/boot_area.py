"""What makes a disk start by itself, BIOS and UEFI: GRUB, which looks for its menu on the partition LABBOOT.

It belongs to no image: every PC that is imaged gets it, whatever its image brings. For Secure Boot there are the
distribution's signed shim and GRUB besides: the firmware starts the shim, that the GRUB beside it, and that reads
`SIGNED_MENU`, since where it looks is part of what is signed.
"""

from __future__ import annotations

import struct
from pathlib import Path

from lab_tool.imaging.deploy_system.unpacked import Unpacked

# The label of the partition with the menu, and where its BIOS part begins: a partition of its own, 1 MiB into the disk.
LABEL = "LABBOOT"
CORE_SECTOR = 2048
SIGNED = {
    "shimx64.efi": "/usr/lib/shim/shimx64.efi.signed",
    "grubx64.efi": "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
}
SIGNED_MENU = "EFI/debian/grub.cfg"
# Of the first sector, what comes before the disk's signature and table.
_CODE_SIZE = 440
_SECTOR = 512
# Where boot.img keeps the sector to go on with, and a jump that only diskettes need.
_NEXT_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_COMMANDS = (
    *("all_video", "boot", "btrfs", "cat", "chain", "configfile", "echo", "ext2", "fat", "font", "gfxterm", "halt"),
    *("linux", "loadenv", "ls", "minicmd", "normal", "ntfs", "part_gpt", "part_msdos", "password_pbkdf2", "probe"),
    *("reboot", "regexp", "search", "search_fs_file", "search_fs_uuid", "search_label", "serial", "sleep", "terminal"),
    *("test", "true", "xfs"),
)
# For a PC that asked the network and is to start from its disk: iPXE's own way back to UEFI hangs on some firmware.
LOCAL = "local.efi"
_LOCAL_COMMANDS = (
    *("all_video", "boot", "chain", "echo", "fat", "minicmd", "part_gpt", "part_msdos", "search"),
    *("search_fs_file", "search_label", "sleep"),
)
# Ours first; then whatever else a PC had before it was imaged.
_STARTERS = (
    "/EFI/Microsoft/Boot/bootmgfw.efi",
    "/EFI/debian/shimx64.efi",
    "/EFI/ubuntu/shimx64.efi",
    "/EFI/BOOT/BOOTX64.EFI",
)
_COMMANDS_BIOS = ("biosdisk", "ntldr", "vga")
_COMMANDS_UEFI = ("efi_gop", "efi_uga", "efifwsetup")


def files(unpacked: Unpacked, work: Path, label: str = LABEL) -> dict[str, bytes]:
    """`boot.img` (440 bytes for the first sector), `core.img` (for `CORE_SECTOR`), `BOOTX64.EFI`, `LOCAL`, `SIGNED`."""
    config = work / "early.cfg"
    config.write_text(_early(label), encoding="ascii")
    made = {}
    for name, kind, commands in (
        ("core.img", "i386-pc", (*_COMMANDS, *_COMMANDS_BIOS)),
        ("BOOTX64.EFI", "x86_64-efi", (*_COMMANDS, *_COMMANDS_UEFI)),
    ):
        modules = unpacked.file(f"/usr/lib/grub/{kind}")
        how = ("-O", kind, "-d", str(modules), "-c", str(config), "-p", "/grub", "-o", str(work / name))
        unpacked.run("/usr/bin/grub-mkimage", *how, *commands)
        made[name] = (work / name).read_bytes()
    boot = unpacked.file("/usr/lib/grub/i386-pc/boot.img").read_bytes()
    own = {"boot.img": _boot_code(boot), "core.img": _core(made["core.img"]), "BOOTX64.EFI": made["BOOTX64.EFI"]}
    own[LOCAL] = _local(unpacked, work, label)
    return own | {name: unpacked.file(path).read_bytes() for name, path in SIGNED.items()}


def _early(label: str) -> str:
    """GRUB's first commands: the menu of the disk that it was itself started from, else of any disk."""
    return (
        "regexp --set=1:disk '^\\(([^,)]*)' \"$cmdpath\"\n"
        f'search --no-floppy --label --set=root --hint="$disk,gpt2" --hint="$disk,gpt1" {label}\n'
        "set prefix=($root)/grub\n"
    )


def _local(unpacked: Unpacked, work: Path, label: str) -> bytes:
    """A program for UEFI that starts what is on a disk of the PC, and gives up where nothing is."""
    config, out = work / "local.cfg", work / LOCAL
    # One after the other, since commands that come with -c know no `if`: what is not there fails and goes on.
    tries = [("--label", label, "/EFI/BOOT/BOOTX64.EFI"), *(("--file", path, path) for path in _STARTERS)]
    lines = [f"search --no-floppy {how} --set=root {what}\nchainloader {path}\nboot\n" for how, what, path in tries]
    config.write_text("".join(lines) + 'echo "No system was found on the disks of this PC."\nsleep 10\nexit\n', "ascii")
    kind, modules = "x86_64-efi", unpacked.file("/usr/lib/grub/x86_64-efi")
    arguments = ("-O", kind, "-d", str(modules), "-c", str(config), "-p", "/none", "-o", str(out))
    unpacked.run("/usr/bin/grub-mkimage", *arguments, *_LOCAL_COMMANDS)
    return out.read_bytes()


def _boot_code(image: bytes) -> bytes:
    code = bytearray(image[:_CODE_SIZE])
    struct.pack_into("<Q", code, _NEXT_SECTOR, CORE_SECTOR)
    code[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"
    return bytes(code)


def _core(image: bytes) -> bytes:
    """The core, told where the rest of it lies; its first sector loads that rest."""
    core = bytearray(image)
    # Last in the first sector: first sector of the rest (8 bytes), sectors (2), segment (2).
    struct.pack_into("<Q", core, _SECTOR - 12, CORE_SECTOR + 1)
    return bytes(core) + bytes(-len(core) % _SECTOR)
