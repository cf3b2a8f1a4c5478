"""The kernel, and those of its modules that a PC in a lab may need to reach its server and its disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy_system.archive import Entry, file
from lab_tool.imaging.deploy_system.contents import MODULES, MODULES_LEFT_OUT
from lab_tool.imaging.deploy_system.unpacked import Unpacked

_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def release(unpacked: Unpacked) -> str:
    """The one kernel's release, such as `6.1.0-18-amd64`."""
    found = [path.name for path in unpacked.file("/lib/modules").iterdir()]
    if len(found) != 1:
        raise LabError(f"the packages bring {len(found)} kernels instead of one")
    return found[0]


def image(unpacked: Unpacked) -> bytes:
    """The kernel itself, with its distributor's signature for Secure Boot."""
    return unpacked.file(f"/boot/vmlinuz-{release(unpacked)}").read_bytes()


def modules(unpacked: Unpacked, work: Path) -> dict[str, Entry]:
    """The modules with the indexes that modprobe reads. `work` is an empty folder."""
    version = release(unpacked)
    folder = unpacked.file("/lib/modules") / version
    unpacked.run("/sbin/depmod", "-b", str(unpacked.root), version)
    needs = _needs((folder / "modules.dep").read_text(encoding="ascii"))
    built_in = (folder / "modules.builtin").read_text(encoding="ascii").split()
    chosen = work / "lib/modules" / version
    for name in (*_LISTS, *_with_needs(_wanted(needs, built_in), needs)):
        (chosen / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, chosen / name)
    unpacked.run("/sbin/depmod", "-b", str(work), version)
    kept = [path for path in chosen.rglob("*") if path.suffix in (".ko", ".bin") or path.name == "modules.softdep"]
    return {f"usr/{path.relative_to(work)}": file(path.read_bytes()) for path in kept}


def _needs(text: str) -> dict[str, tuple[str, ...]]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name: tuple(needed.split()) for name, _, needed in lines}


def _wanted(names: Iterable[str], built_in: Iterable[str]) -> list[str]:
    wanted = tuple(f"kernel/{path}" for path in MODULES)
    left_out = tuple(f"kernel/{path}" for path in MODULES_LEFT_OUT)
    chosen = [name for name in names if name.startswith(wanted) and not name.startswith(left_out)]
    for path in wanted:
        if not any(name.startswith(path) for name in (*chosen, *built_in)):
            raise LabError(f"the kernel has no {path} (any more); the distribution has changed")
    return chosen


def _with_needs(chosen: Iterable[str], needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    # modules.dep names for each module all that it needs, at whatever remove.
    return sorted({each for name in chosen for each in (name, *needs[name])})
