"""Python for the deploy system: the interpreter's library without what is useless there, and this project's client.

All is compiled beforehand by the same interpreter, since compiling takes longer than running on a slow PC.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy_system.archive import Entry, file
from lab_tool.imaging.deploy_system.contents import CODE, PYTHON_LEFT_OUT, PYTHON_NAMES_LEFT_OUT
from lab_tool.imaging.deploy_system.unpacked import Unpacked

INTERPRETER = "/usr/bin/python3.11"
CLIENT = "lab_tool.imaging.deploy"
_LIBRARY = "usr/lib/python3.11"
_PACKAGES = "usr/lib/python3/dist-packages"
_OWN = "usr/lib/lab"
# Imports every module of the client, so that none is missed only on the PC.
_CHECK = f"""
import importlib, pkgutil, sys
import lab_tool
for module in pkgutil.walk_packages(lab_tool.__path__, "lab_tool."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
importlib.import_module("{CLIENT}.__main__")
import hivex, http.client, ssl, zstandard
"""


def files(unpacked: Unpacked, work: Path, code: Path) -> dict[str, Entry]:
    """The library and the client; `code` is the folder of the package `lab_tool`, `work` an empty folder."""
    _copy(unpacked.file(f"/{_LIBRARY}"), work / _LIBRARY, library=True)
    _copy(unpacked.file(f"/{_PACKAGES}"), work / _PACKAGES)
    for name in CODE:
        source, target = code / name, work / _OWN / "lab_tool" / name
        if not source.exists():
            raise LabError("the deploy system needs this part of the project", where=str(source))
        if source.is_dir():
            _copy(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    _compile(unpacked, work)
    return {str(path.relative_to(work)): file(path.read_bytes()) for path in sorted(work.rglob("*")) if path.is_file()}


def _compile(unpacked: Unpacked, work: Path) -> None:
    """Put compiled modules in the place of their sources, and try them."""
    own = {"PYTHONHOME": str(unpacked.file(f"/{_LIBRARY}").parents[1]), "PYTHONHASHSEED": "0"}
    # Beside its source rather than in __pycache__, a compiled module also works alone. Neither dates nor this
    # machine's paths stand in it.
    how = ("-b", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(work), "-p", "/")
    unpacked.run(INTERPRETER, "-S", "-m", "compileall", *how, str(work / "usr"), env=own)
    for source in work.rglob("*.py"):
        source.unlink()
    there = {
        "PYTHONHOME": str(work / "usr"),
        "PYTHONPATH": f"{work / _OWN}:{work / _PACKAGES}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    unpacked.run(INTERPRETER, "-S", "-P", "-c", _CHECK, env=there)


def _copy(source: Path, target: Path, *, library: bool = False) -> None:
    for path in _kept(source, library=library):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _kept(source: Path, *, library: bool) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.suffix not in (".py", ".so") or not path.is_file():
            continue
        if library and (relative.parts[0] in PYTHON_LEFT_OUT or str(relative).startswith(PYTHON_NAMES_LEFT_OUT)):
            continue
        yield path
