"""What is done inside a mounted root file system of somebody else's making, and so with nothing but it in sight.

Called as a program of its own, with `survey` or `clean` and the place of the mount; prints the survey as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.programs import in_mount
from lab_tool.imaging.build.survey import Survey, survey
from lab_tool.imaging.build.tidy import clean
from lab_tool.settings import PROJECT

# Windows has neither packages that dpkg knows of nor an identity that could be taken away from outside.
_FOREIGN = {"ntfs": "ro", "ext4": "ro,noload", "xfs": "ro,norecovery,nouuid", "btrfs": "ro"}
_WRITING = {"ext4": "noatime,noload", "xfs": "noatime,nouuid", "btrfs": "noatime"}


def look_through(image: Path, fs: str, *, cleaning: bool) -> Survey:
    """The survey of the file system in the file `image`; with `cleaning` it loses identity and secrets first.

    Raises `LabError`.
    """
    options = _WRITING[fs] if cleaning else _FOREIGN[fs]
    done = in_mount(
        *(image, fs, options, sys.executable, "-I", "-c", _START, str(PROJECT)),
        *("clean" if cleaning else "survey", "{}"),
        what="looking through the file system",
    )
    try:
        found = json.loads(done.out)
        return Survey(found["packages"], found["files"], found["release"])
    except (ValueError, KeyError, TypeError) as error:
        raise LabError("what lies in the file system can't be told", where=str(image)) from error


_START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from lab_tool.imaging.build.inside import main
main(sys.argv[1:])
"""


def main(words: list[str]) -> None:
    """Shut itself in, so that no link in there leads out, and do what the first word says."""
    action, root = words
    os.chroot(root)
    os.chdir("/")
    here = Path("/")
    if action == "clean":
        clean(here)
    found = survey(here)
    json.dump({"packages": found.packages, "files": found.files, "release": found.release}, sys.stdout)
