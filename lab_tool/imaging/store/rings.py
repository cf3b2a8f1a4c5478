"""Which version a PC gets is inventory: two files of variables, so that plans and approvals are bound to what they say.

`group_vars/all/images.yml` holds what every PC gets, `group_vars/ring_canary/images.yml` what the canaries get: all of
it, since Ansible takes one mapping or the other. Canaries get what all get, but for what is being tried on them.

Where there is a folder `group_vars/all`, Ansible does not read `group_vars/all.yml` any more, and says nothing: its
content is moved into the folder, in one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import yaml

from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.fields import DIGEST, NAME
from lab_tool.imaging.store.durable import settle, unfinished
from lab_tool.log.store import sync_folder
from lab_tool.school.ansible_view import CANARIES

Ring = Literal["canary", "all"]
RINGS: tuple[Ring, ...] = get_args(Ring)
VARIABLE = "image_versions"
FILE = "images.yml"
_GROUPS: Mapping[Ring, str] = {"all": "all", "canary": CANARIES}
_HEADS: Mapping[Ring, str] = {
    "all": "Which version of each image every PC gets. Written by `lab image promote` and `lab image rollback` only.",
    "canary": "What the canaries get: all of it, since Ansible takes one mapping. Written by `lab image promote` only.",
}
_ENDINGS = (".yml", ".yaml", ".json")


@dataclass(frozen=True, slots=True)
class Versions:
    """By name of an image, the id of the version for each ring."""

    all: Mapping[str, str]
    canary: Mapping[str, str]

    def of(self, ring: Ring) -> Mapping[str, str]:
        """What a ring gets."""
        return self.all if ring == "all" else self.canary

    def promoted(self, ring: Ring, name: str, image: str) -> Versions:
        """With another version for a ring. Canaries that had what all had go with them."""
        canary = {**self.canary, name: image}
        if ring == "canary":
            return replace(self, canary=canary)
        tried = name in self.canary and self.canary[name] != self.all.get(name)
        return Versions({**self.all, name: image}, self.canary if tried else canary)


def read_versions(inventory: Path) -> Versions:
    """What the two files say; nothing where there are none. Raises `UsageError` for a file that is not ours."""
    everybody = _read(_path(inventory, "all"))
    return Versions(everybody, {**everybody, **_read(_path(inventory, "canary"))})


def write_versions(inventory: Path, versions: Versions) -> list[str]:
    """Write what is different, and return which files of the school's had to move for it (`all.yml to all/main.yml`).

    Canaries first: cut off in between, they are ahead and not behind, and the same again completes it.
    """
    moved = []
    for ring in RINGS:
        path = _path(inventory, ring)
        if _read(path) == versions.of(ring):
            continue
        moved += _make_folder(path.parent)
        # Quoted: a name such as `on`, or an id of digits, would be something else to YAML.
        lines = [f'  "{name}": "{image}"' for name, image in sorted(versions.of(ring).items())]
        text = "\n".join(["---", f"# {_HEADS[ring]}", f"{VARIABLE}:", *lines, ""])
        with unfinished(path.parent, path.name) as (beside, file):
            file.write(text.encode())
            settle(file)
            beside.chmod(0o644)
            beside.replace(path)
        sync_folder(path.parent)
    return moved


def _path(inventory: Path, ring: Ring) -> Path:
    return inventory / "group_vars" / _GROUPS[ring] / FILE


def _read(path: Path) -> dict[str, str]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"can't be read: {error}", where=str(path)) from error
    versions = document.get(VARIABLE) if isinstance(document, dict) and len(document) == 1 else None
    fits = isinstance(versions, dict) and all(
        isinstance(name, str) and NAME.fullmatch(name) and isinstance(image, str) and DIGEST.fullmatch(image)
        for name, image in versions.items()
    )
    if not fits or versions is None:
        raise UsageError(
            f"it holds more or less than {VARIABLE}, names and ids; other variables belong in a file beside it",
            where=str(path),
        )
    return dict(versions)


def _make_folder(folder: Path) -> list[str]:
    """The folder of a group. A file of the group beside it, which Ansible would not read any more, goes into it."""
    beside = [path for path in (folder.with_name(folder.name + ending) for ending in _ENDINGS) if path.exists()]
    if folder.is_dir():
        for path in beside:
            moved = folder / f"main{path.suffix}"
            if not moved.is_file() or moved.read_bytes() != path.read_bytes():
                raise UsageError(
                    f"Ansible reads the folder {folder.name}/ and not this file; move it there as {moved.name}",
                    where=str(path),
                )
            # Cut off in between, the last time.
            path.unlink()
        return []
    if folder.exists() or len(beside) > 1:
        raise UsageError("Ansible reads only one of these; leave one, named .yml", where=str(folder))
    folder.parent.mkdir(exist_ok=True)
    complete = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(complete, ignore_errors=True)
    complete.mkdir(mode=0o755)
    try:
        for path in beside:
            copy = complete / f"main{path.suffix}"
            shutil.copy2(path, copy)
            with copy.open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(complete)
        # From here on Ansible reads the folder; until here it read the file.
        complete.rename(folder)
    except OSError as error:
        shutil.rmtree(complete, ignore_errors=True)
        raise LabError(f"the folder can't be made: {error.strerror}", where=str(folder)) from error
    for path in beside:
        path.unlink()
    sync_folder(folder.parent)
    return [f"{path.name} -> {folder.name}/main{path.suffix}" for path in beside]
