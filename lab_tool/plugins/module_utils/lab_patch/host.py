"""What the PC itself says: disk space, files still in use that were replaced, the kernel, a reboot asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .packages import Selection
from .programs import Programs

ARCHIVES = "/var/cache/apt/archives"
REBOOT_FLAG = "/run/reboot-required"
NEEDRESTART = "/usr/sbin/needrestart"
# needrestart's numbers for a kernel that is installed and not running: same ABI, other version.
KERNEL_WAITS = (2, 3)
# The boot folder needs a kernel image and an initial RAM disk beside those that are there; bytes.
KERNEL_NEEDS = 150 * 1024**2


@dataclass(frozen=True)
class Shortage:
    """A file system that is too full: bytes."""

    path: str
    needs: int
    has: int

    def __str__(self) -> str:
        return f"disk too full: {self.path} needs {_mebibytes(self.needs)} MiB, has {self.has // 1024**2} MiB"


@dataclass(frozen=True)
class Restarts:
    """What still runs from files that were replaced. `known` is False without needrestart: then nothing is known."""

    known: bool
    services: tuple[str, ...] = ()
    sessions: int = 0
    kernel_running: str = ""
    kernel_installed: str = ""
    kernel_waits: bool = False


def needs(selection: Selection, reserve: int) -> dict[str, int]:
    """Bytes needed by folder: apt's own estimate, the largest package twice while it is unpacked, and the reserve."""
    if not selection.upgrades and not selection.added:
        return {}
    found = {"/usr": max(selection.grows, 0) + selection.largest + reserve, ARCHIVES: selection.download}
    if any(name.startswith("linux-image-") for name in (*selection.upgrades, *selection.added)):
        found["/boot"] = KERNEL_NEEDS
    return found


def shortages(needed: Mapping[str, int]) -> list[Shortage]:
    """The file systems that can't take what is needed; folders on one file system are added up."""
    by_device: dict[int, list[str]] = {}
    for path in needed:
        by_device.setdefault(_existing(path).stat().st_dev, []).append(path)
    found = []
    for paths in by_device.values():
        total = sum(needed[path] for path in paths)
        state = os.statvfs(_existing(paths[0]))
        has = state.f_bavail * state.f_frsize
        if has < total:
            found.append(Shortage(paths[0], total, has))
    return found


def _existing(path: str) -> Path:
    """The folder, or the nearest above it: apt makes one that is missing."""
    return next(folder for folder in (Path(path), *Path(path).parents) if folder.exists())


def restarts(programs: Programs) -> Restarts:
    """Ask needrestart, which restarts nothing here."""
    running = os.uname().release
    if not Path(NEEDRESTART).exists():
        return Restarts(known=False, kernel_running=running)
    code, out, _ = programs(NEEDRESTART, "-b", "-k", "-l", "-r", "l")
    return read_needrestart(out, running) if code == 0 else Restarts(known=False, kernel_running=running)


def read_needrestart(out: str, running: str) -> Restarts:
    """The batch output of needrestart; inside a container it says nothing of the kernel, which is not the PC's own."""
    fields: dict[str, list[str]] = {}
    for line in out.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), []).append(value.strip())
    state = int(fields.get("NEEDRESTART-KSTA", ["0"])[0] or 0)
    return Restarts(
        known="NEEDRESTART-VER" in fields,
        services=tuple(sorted(fields.get("NEEDRESTART-SVC", []))),
        sessions=len(fields.get("NEEDRESTART-SESS", [])),
        kernel_running=fields.get("NEEDRESTART-KCUR", [running])[0],
        kernel_installed=fields.get("NEEDRESTART-KEXP", [""])[0],
        kernel_waits=state in KERNEL_WAITS,
    )


def reboot_reasons(found: Restarts) -> list[str]:
    """Why only a reboot makes the updates effective; empty when none is needed."""
    reasons = []
    if Path(REBOOT_FLAG).exists():
        reasons.append("asked for by " + (", ".join(_askers()) or "a package"))
    if found.kernel_waits:
        reasons.append(f"kernel {found.kernel_running} runs, {found.kernel_installed or 'a newer build'} is installed")
    if found.services:
        reasons.append("still running from replaced files: " + ", ".join(found.services))
    return reasons


def _askers() -> Sequence[str]:
    try:
        names = Path(REBOOT_FLAG + ".pkgs").read_text(encoding="utf-8", errors="replace").split()
    except FileNotFoundError:
        return []
    return sorted(set(names))


def _mebibytes(amount: int) -> int:
    return -(-amount // 1024**2)
