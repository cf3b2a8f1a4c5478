"""Which PC this is and which of its disks is meant, as the kernel's /sys tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import DeployError

# Kinds of block devices that are no disks of a PC.
_NOT_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")
_KINDS_OF_ID = ("ata", "nvme", "scsi", "virtio", "usb", "mmc", "wwn")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A disk: `size` in bytes, `removable` when it hangs on USB or can be taken out, `ids` tell it from others."""

    name: str
    size: int
    model: str
    removable: bool
    ids: tuple[str, ...]


def disks(situation: Situation) -> list[Candidate]:
    """The disks that this PC has, by name."""
    found = []
    for folder in sorted((situation.base / "sys/block").glob("*")):
        sectors = _read(folder / "size")
        if folder.name.startswith(_NOT_DISKS) or not sectors.isdigit() or int(sectors) == 0:
            continue
        usb = "/usb" in str(folder.resolve())
        ids = [_read(folder / name) for name in ("serial", "wwid", "device/serial", "device/wwid", "device/cid")]
        # What a disk behind SATA or SAS says of its serial number: four bytes, then text.
        ids.append(_read(folder / "device/vpd_pg80")[4:].strip())
        model = _read(folder / "device/model")
        found.append(
            Candidate(
                folder.name,
                int(sectors) * 512,
                model,
                usb or _read(folder / "removable") == "1",
                tuple(filter(None, ids)),
            )
        )
    return found


def choose_disk(situation: Situation, wanted: str) -> Path:
    """The disk to write to: `wanted` is the order's, empty for the only one. Raises `DeployError`."""
    if situation.disk:
        return Path(situation.disk)
    there = disks(situation)
    listed = ", ".join(f"{disk.name} ({disk.model or 'no name'}, {disk.size // 10**9} GB)" for disk in there) or "none"
    if wanted:
        path = Path(wanted) if wanted.startswith("/") else Path("/dev/disk/by-id") / wanted
        if path.is_block_device():
            return path.resolve()
        named = [disk for disk in there if _is_called(disk, path.name)]
        if len(named) == 1:
            return Path("/dev", named[0].name)
        raise DeployError(
            f"the disk {wanted} that the order names is not in this PC; disks: {listed}",
            advice="Correct the disk of this PC in the inventory, or put the disk in",
        )
    fixed = [disk for disk in there if not disk.removable]
    if len(fixed) != 1:
        raise DeployError(
            f"which disk to write to is not certain; disks: {listed}",
            advice="Name the disk of this PC in the inventory" if fixed else "Put a disk in, or look at its cable",
        )
    return Path("/dev", fixed[0].name)


def facts(situation: Situation) -> dict[str, Any]:
    """What the control node wants to know of the PC."""
    memory = next((line.split()[1] for line in _read(Path("/proc/meminfo")).splitlines() if "MemTotal" in line), "0")
    return {
        "uuid": _read(situation.base / "sys/class/dmi/id/product_uuid"),
        "model": _read(situation.base / "sys/class/dmi/id/product_name"),
        "disks": [{"name": disk.name, "size": disk.size, "model": disk.model} for disk in disks(situation)],
        "firmware": "uefi" if (situation.base / "sys/firmware/efi").exists() else "bios",
        "memory": int(memory) * 1024,
    }


def _is_called(disk: Candidate, name: str) -> bool:
    """Whether udev would give the disk this name below /dev/disk/by-id; in the deploy system there is no udev."""
    kind, _, rest = name.partition("-")
    if kind not in _KINDS_OF_ID:
        return disk.name == name
    ids = [one.replace(" ", "_") for one in disk.ids]
    return any(
        rest == one or rest.endswith((f"_{one}", f"-{one}")) or one in (f"eui.{rest}", f"naa.{rest.removeprefix('0x')}")
        for one in ids
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
