"""Trees that a Windows could be: real registry hives, put into real WIM files and NTFS volumes. Nothing of it runs."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regipy.registry import RegistryHive

from lab_tool.imaging.deploy.personal_windows import GENERALIZED

PACKAGES = Path("/usr/lib/python3/dist-packages")
TOOLS = ("wimlib-imagex", "mkntfs", "ntfsresize", "ntfs-3g", "partclone.ntfs", "reged", "hivexget", "ssh-keygen")
STATE = r"Microsoft\Windows\CurrentVersion\Setup\State"
DWORD, TEXT, BINARY = 4, 1, 3
Value = tuple[int, bytes]


def reason_not_available() -> str:
    """Why nothing of this can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "root is needed to mount NTFS"
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if (PACKAGES / "hivex").is_dir() else "python3-hivex is not installed"


def hivex_for_this_python(folder: Path) -> None:
    """Make the distribution's hivex, and nothing else of its packages, one that can be imported here."""
    for path in (PACKAGES / "hivex", *PACKAGES.glob("libhivexmod*")):
        place = folder / path.name
        if not place.exists():
            place.symlink_to(path)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def dword(value: int) -> Value:
    """A number, as a registry stores it."""
    return DWORD, struct.pack("<I", value)


def text(value: str) -> Value:
    """A text, as a registry stores it."""
    return TEXT, (value + "\0").encode("utf-16-le")


def make_hive(place: Path, values: Mapping[tuple[str, str], Value]) -> None:
    """A hive with these values, by (key, name); a name that is empty makes the key only."""
    place.write_bytes(_empty_hive())
    hive: Any = importlib.import_module("hivex").Hivex(str(place), write=True)
    for (key, name), (code, data) in values.items():
        node = hive.root()
        for part in key.split("\\"):
            node = hive.node_get_child(node, part) or hive.node_add_child(node, part)
        if name:
            hive.node_set_value(node, {"key": name, "t": code, "value": data})
    hive.commit(None)


def values_of(hive: Path | bytes, key: str) -> list[tuple[str, Any]]:
    """Names and values of a key, as regipy reads them: it shares nothing with hivex."""
    return [(value.name, value.value) for value in _regipy(hive, key).iter_values()]


def value_of(hive: Path | bytes, key: str, name: str) -> Any:
    """One value, as regipy reads it; None where there is none."""
    return _regipy(hive, key).get_value(name)


def keys_of(hive: Path | bytes, key: str) -> list[str]:
    """The names of the keys below one, as regipy reads them."""
    return [child.name for child in _regipy(hive, key).iter_subkeys()]


def _regipy(hive: Path | bytes, key: str) -> Any:
    reader: Any = RegistryHive
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "hive")
        place.write_bytes(hive if isinstance(hive, bytes) else hive.read_bytes())
        return reader(str(place)).get_key(f"\\{key}")


def make_windows(root: Path, *, windows: str = "Windows", system32: str = "System32", state: str = GENERALIZED) -> None:
    """A tree with the parts of a generalised Windows that matter here, under these spellings of its folders."""
    config = root / windows / system32 / "config"
    config.mkdir(parents=True)
    make_hive(
        config / "SOFTWARE",
        {
            (STATE, "ImageState"): text(state),
            (r"Microsoft\Windows NT\CurrentVersion", "CurrentMajorVersionNumber"): dword(10),
            (r"Microsoft\Windows NT\CurrentVersion", "ProductName"): text("Windows 11 Education"),
            (r"Microsoft\Windows NT\CurrentVersion", "EditionID"): text("Education"),
        },
    )
    make_hive(
        config / "SYSTEM",
        {
            ("Select", "Current"): dword(1),
            (r"ControlSet001\Services\USBSTOR", "Start"): dword(3),
            (r"ControlSet001\Services\sshd", "Start"): dword(3),
        },
    )
    for name in (f"{windows}/{system32}/OpenSSH", f"{windows}/Panther/Unattend", "Users/Default", "ProgramData/ssh"):
        (root / name).mkdir(parents=True)
    make_hive(root / "Users/Default/NTUSER.DAT", {("Software", ""): dword(0)})
    (root / windows / system32 / "OpenSSH" / "sshd.exe").write_bytes(b"MZ sshd")
    (root / windows / "Panther" / "Unattend" / "Unattend.xml").write_text("<unattend>of another school</unattend>")
    (root / "ProgramData/ssh/ssh_host_dsa_key").write_text("a key that came with the image")
    (root / windows / "课件.txt").write_text("名字不是ASCII", encoding="utf-8")


def make_wim(root: Path, file: Path) -> Path:
    """The tree in a WIM file, as DISM writes them: LZX."""
    command = ["wimlib-imagex", "capture", str(root), str(file), "Windows 11 Lab", "--compress=LZX", "--check"]
    subprocess.run(command, check=True, capture_output=True)
    return file


def _empty_hive() -> bytes:
    """A root key and its security descriptor, in one block."""
    users = struct.pack("<BB6s2I", 1, 2, b"\0\0\0\0\0\5", 32, 544)
    entry = struct.pack("<BBHI", 0, 2, 8 + len(users), 0xF003F) + users
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entry), 1, 0) + entry
    rights = struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 20 + len(users), 0, 20 + 2 * len(users)) + users + users + acl
    none = 0xFFFFFFFF
    numbers = (0, 0, 0, 0, none, none, 0, none, 0, none, 0, 0, 0, 0, 0)
    root_key = struct.pack("<2sHQ15IHH", b"nk", 0x2C, 0, *numbers, 4, 0) + b"ROOT"
    place = 0x20 + len(_cell(root_key))
    root_key = root_key[:44] + struct.pack("<I", place) + root_key[48:]
    security = struct.pack("<2sHIIII", b"sk", 0, place, place, 1, len(rights)) + rights
    body = _cell(root_key) + _cell(security)
    free = 4096 - 32 - len(body)
    body += struct.pack("<i", free) + bytes(free - 4)
    block = struct.pack("<4sIIQQI", b"hbin", 0, 4096, 0, 0, 0) + body
    head = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, 0, 1, 5, 0, 1, 0x20, len(block), 1).ljust(508, b"\0")
    check = 0
    for (word,) in struct.iter_unpack("<I", head):
        check ^= word
    return (head + struct.pack("<I", check)).ljust(4096, b"\0") + block


def _cell(content: bytes) -> bytes:
    size = (len(content) + 4 + 7) & ~7
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
