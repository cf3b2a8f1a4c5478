"""What is done inside a mounted root file system of somebody else's making, and so with nothing but it in sight.

Called as a program of its own, with what to do and the place of the mount; prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lab_tool.errors import LabError, RefusedError
from lab_tool.imaging.build.programs import in_mount
from lab_tool.imaging.build.survey import Survey, survey
from lab_tool.imaging.build.tidy import clean, require_no_secret
from lab_tool.settings import PROJECT

LINUX, WINDOWS = "linux", "windows"
_READING = {"ntfs": "ro", "ext4": "ro,noload", "xfs": "ro,norecovery,nouuid", "btrfs": "ro"}
_WRITING = {"ext4": "noatime,noload", "xfs": "noatime,nouuid", "btrfs": "noatime"}
_INIT = ("sbin/init", "usr/sbin/init")
_NTOSKRNL = ("windows", "system32", "ntoskrnl.exe")
_KERNEL = ("vmlinuz", "initrd.img")
_START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from lab_tool.imaging.build.inside import main
main(sys.argv[1:])
"""


def probe(image: Path, fs: str) -> tuple[str, bool]:
    """Which system lies in the file `image`: linux, windows or none; and whether its kernel lies there, too."""
    found = _run(image, fs, _READING[fs], "probe")
    return str(found["system"]), bool(found["kernel"])


def look_through(image: Path, fs: str, *, cleaning: bool) -> Survey:
    """The survey of the file system in the file `image`; with `cleaning` it loses identity and secrets first.

    Raises `LabError`.
    """
    found = _run(image, fs, _WRITING[fs] if cleaning else _READING[fs], "clean" if cleaning else "survey")
    if found["refused"]:
        raise RefusedError("a private key, which every PC of this image would have", where=found["refused"])
    return Survey(found["packages"], found["files"], found["release"])


def _run(image: Path, fs: str, options: str, action: str) -> Any:
    done = in_mount(
        *(image, fs, options, sys.executable, "-c", _START, str(PROJECT), action, "{}"),
        what=f"looking through the file system ({fs})",
    )
    try:
        return json.loads(done.out)
    except ValueError as error:
        raise LabError("what lies in the file system can't be told", where=str(image)) from error


def main(words: list[str]) -> None:
    """Shut itself in, so that no link in there leads out, and do what the first word says."""
    action, root = words
    os.chroot(root)
    os.chdir("/")
    here = Path("/")
    if action == "probe":
        json.dump({"system": _system(here), "kernel": all((here / name).exists() for name in _KERNEL)}, sys.stdout)
        return
    refused = ""
    if action == "clean":
        clean(here)
        try:
            require_no_secret(here)
        except RefusedError as error:
            refused = error.where
    found = survey(here)
    told = {"packages": found.packages, "files": found.files, "release": found.release, "refused": refused}
    json.dump(told, sys.stdout)


def _system(here: Path) -> str:
    if any(os.path.lexists(here / name) for name in _INIT):
        return LINUX
    place: Path | None = here
    for name in _NTOSKRNL:
        place = next((entry for entry in place.iterdir() if entry.name.casefold() == name), None) if place else None
    return WINDOWS if place else ""
