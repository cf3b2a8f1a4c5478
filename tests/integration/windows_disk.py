"""Disks for a Windows image, and what other programs than ours say of what is on them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.format.cells import CELL_SIZE, cell_numbers
from lab_tool.imaging.store.draft import DraftPartition

MIB = 1024 * 1024
SOFTWARE, SYSTEM = "Windows/System32/config/SOFTWARE", "Windows/System32/config/SYSTEM"


@contextmanager
def loop_device(size: int, folder: Path) -> Iterator[Path]:
    """A disk of random bytes, as one that was used before."""
    file = folder / "disk.img"
    block = b"\xa5what was here before\x5a" * 47663
    with file.open("wb") as opened:
        for _ in range(-(-size // len(block))):
            opened.write(block)
        opened.truncate(size)
    made = subprocess.run(["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True)
    device = Path(made.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)
        file.unlink()


def write_cells(part: DraftPartition, device: Path) -> None:
    """Write the cells in use and nothing else, unused bytes in them as zeros: what a PC does with an image."""
    assert part.device is not None and part.used is not None
    whole = part.device.read_bytes()
    with device.open("r+b") as target:
        for number in cell_numbers(part.used):
            start, end = number * CELL_SIZE, (number + 1) * CELL_SIZE
            cell = bytearray(CELL_SIZE)
            for first, last in part.used:
                low, high = max(first, start), min(last, end)
                if low < high:
                    cell[low - start : high - start] = whole[low:high]
            target.seek(start)
            target.write(cell)


def sound(device: Path) -> bool:
    """Whether ntfs-3g's tools find nothing wrong: both boot sectors, the file tables, every cluster."""
    checks = (["ntfsfix", "--no-action", str(device)], ["ntfsresize", "--info", str(device)])
    return all(subprocess.run(check, capture_output=True, check=False).returncode == 0 for check in checks)


def read_file(device: Path, path: str) -> bytes:
    """A file of an NTFS that is not mounted."""
    return subprocess.run(["ntfscat", str(device), path], check=True, capture_output=True).stdout


def write_file(device: Path, path: str, content: bytes) -> None:
    """Put a file there."""
    with ntfs.mounted(device) as root:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def fill_up(device: Path, left: int) -> None:
    """Leave only this many bytes free."""
    with ntfs.mounted(device) as root, (root / "filling").open("wb", buffering=0) as opened:
        block = bytes(64 * 1024)
        while True:
            try:
                opened.write(block)
            except OSError:
                break
        opened.truncate(opened.tell() // 4096 * 4096 - left)


def chntpw_value(hive: bytes, key: str, name: str, folder: Path) -> str:
    """A value as Debian's chntpw exports it, such as `dword:00000004`."""
    place, out = folder / "hive", folder / "exported.reg"
    place.write_bytes(hive)
    out.unlink(missing_ok=True)
    subprocess.run(["reged", "-x", str(place), "HIVE", f"\\{key}", str(out)], check=False, capture_output=True)
    exported = out.read_bytes().decode("latin-1")
    section = exported.split(f"[HIVE\\{key}]", 1)[1].split("\n[", 1)[0]
    found = re.search(rf'^"{re.escape(name)}"=(.*?)\r?$', section, re.MULTILINE)
    assert found, f"{key}\\{name} is not in:\n{section}"
    return found[1]


def rights(device: Path, path: str) -> Mapping[str, str]:
    """Who may do what with a file, as ntfssecaudit reads it from the volume: SID to access mask."""
    told = subprocess.run(["ntfssecaudit", "-vv", str(device), path], check=True, capture_output=True, text=True).stdout
    entries = re.findall(r"Acc rgts (0x[0-9a-f]+)\n.*?dec (S-[0-9-]+)\n", told, re.DOTALL)
    return {sid: mask for mask, sid in entries}
