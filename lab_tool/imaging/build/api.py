"""What makes a draft of an image. The draft's files last as long as the `with` block; the store reads them in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.build.disk import read_disk
from lab_tool.imaging.build.foreign import Said, assemble
from lab_tool.imaging.build.linux import Parent, Parents, Progress, from_debian
from lab_tool.imaging.build.received import read_received
from lab_tool.imaging.build.recipe import Recipe, load_recipe
from lab_tool.imaging.build.workshop import workshop
from lab_tool.imaging.format.fields import NAME
from lab_tool.imaging.store.draft import Draft
from lab_tool.school.problem import quote
from lab_tool.settings import Settings


def silent(text: str) -> None:
    """Tell nobody."""


@contextmanager
def build(
    settings: Settings,
    store: Parents,
    recipe: str,
    *,
    parent: str = "",
    changes: str = "",
    progress: Progress = silent,
) -> Iterator[Draft]:
    """The image that `images/<recipe>.yml` of the inventory describes; on the blocks of `parent` where one is named.

    Raises `LabError`.
    """
    wanted = load_recipe(settings.inventory, recipe)
    shape = wanted.shape
    ancestor = Parent(store, *store.get(parent)) if parent else None
    with workshop(settings.state) as work:
        if shape.origin.debian:
            yield from_debian(
                wanted, shape.origin.debian, work, progress, parent=ancestor, changes=changes, settings=settings
            )
        elif shape.origin.wim:
            yield _from_wim(wanted, work, ancestor.image if ancestor else "", changes)
        elif shape.origin.disk:
            disk = wanted.folder / shape.origin.disk.file
            name = ancestor.image if ancestor else ""
            yield _from_disk(disk, work, progress, Said(shape.image, wanted.title, "recipe", {}, name, changes))


@contextmanager
def import_disk(
    settings: Settings,
    disk: Path,
    name: str,
    *,
    title: str = "",
    changes: str = "",
    parent: str = "",
    progress: Progress = silent,
) -> Iterator[Draft]:
    """The image of a whole disk: a device, a raw file or one that qemu-img reads. The disk is only read.

    Raises `LabError`.
    """
    _require_name(name)
    with workshop(settings.state) as work:
        yield _from_disk(disk, work, progress, Said(name, title, "import", {}, parent, changes))


@contextmanager
def intake(
    settings: Settings,
    folder: Path,
    name: str,
    *,
    title: str = "",
    changes: str = "",
    parent: str = "",
    progress: Progress = silent,
) -> Iterator[Draft]:
    """The image of a PC that sent its partitions: `folder` is what the server received. Raises `LabError`."""
    _require_name(name)
    with workshop(settings.state) as work:
        pieces = read_received(folder, work, progress)
        table = hashlib.sha256((folder / "table.json").read_bytes()).hexdigest()
        source = {"order": folder.name, "table": table}
        yield assemble(pieces, Said(name, title, "capture", source, parent, changes), work, progress)


def _require_name(name: str) -> None:
    """Refuse a name that no image can have now, and not after a whole disk was read."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{quote(name)} can't be an image's name: lower-case letters, digits and -, at most 63",
            next_command="lab image import --help",
        )


def _from_wim(recipe: Recipe, work: Path, parent: str, changes: str) -> Draft:
    from lab_tool.imaging.build.esp import pack_esp
    from lab_tool.imaging.build.wim import draft_of_wim

    origin = recipe.shape.origin.wim
    assert origin is not None
    return draft_of_wim(
        recipe.folder / origin.file,
        origin.index,
        work,
        name=recipe.shape.image,
        title=recipe.title,
        size=recipe.system.size_mib << 20,
        drivers=recipe.folder / origin.drivers if origin.drivers else None,
        esp=pack_esp(recipe.folder / origin.esp, work / "esp.tar"),
        parent=parent,
        changes=changes,
    )


def _from_disk(disk: Path, work: Path, progress: Progress, said: Said) -> Draft:
    if not disk.exists():
        raise LabError("there is no such disk", where=str(disk))
    pieces = read_disk(disk, work, progress)
    source = {"disk": disk.name} if disk.is_block_device() else {"disk": disk.name, "sha256": _digest(disk)}
    return assemble(pieces, Said(said.name, said.title, said.kind, source, said.parent, said.changes), work, progress)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
