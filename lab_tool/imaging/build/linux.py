"""From a recipe to a draft, for images made of Debian's packages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab_tool.errors import UsageError
from lab_tool.imaging.build import debian, filesystem
from lab_tool.imaging.build.apt import apt_here
from lab_tool.imaging.build.recipe import DebianShape, Recipe
from lab_tool.imaging.build.roles import require_roles, run_roles
from lab_tool.imaging.build.survey import survey
from lab_tool.imaging.build.tidy import clean, require_no_secret, settle
from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.settings import Settings

SYSTEM = "system"
Progress = Callable[[str], None]


class Parents(Protocol):
    """What is asked of a store: the version that a new one comes from."""

    def get(self, ref: str) -> tuple[str, Manifest]:
        """The id and the manifest of `name`, `name/version` or the beginning of an id."""

    def materialise(self, part: Partition, path: Path) -> None:
        """Write a partition to a sparse file."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that a new one comes from, and the store that it lies in."""

    store: Parents
    image: str
    manifest: Manifest


def from_debian(
    recipe: Recipe,
    origin: DebianShape,
    work: Path,
    progress: Progress,
    *,
    parent: Parent | None = None,
    changes: str = "",
    left_out: Sequence[str] = (),
    settings: Settings | None = None,
) -> Draft:
    """Make the image in the folder `work`, where the draft's files stay. Raises `LabError`.

    `settings` say where the recipe's roles and the school's variables lie; without them it has no roles.
    """
    if settings:
        require_roles(recipe.shape.roles, settings.project)
    tree = work / "root"
    begun = _moment(work)
    apt = apt_here(origin.suite, origin.components)
    debian.make_tree(recipe, origin, tree, work, progress, left_out, apt)
    if recipe.shape.roles and settings:
        progress(f"roles: {', '.join(recipe.shape.roles)}")
        run_roles(recipe.shape.roles, tree, work, apt, project=settings.project, inventory=settings.inventory)
    return from_tree(recipe, tree, begun, work, progress, parent=parent, changes=changes)


def from_tree(
    recipe: Recipe,
    tree: Path,
    begun: float,
    work: Path,
    progress: Progress,
    *,
    parent: Parent | None = None,
    changes: str = "",
) -> Draft:
    """The same for a tree that is there, whose making began at `begun`, in seconds."""
    shape, system = recipe.shape, recipe.system
    clean(tree)
    require_no_secret(tree)
    progress("list of contents")
    found = survey(tree)
    epoch = settle(tree, begun)
    wanted = filesystem.Wanted(system.fs, system.size_mib * filesystem.MIB, debian.uuid_of(shape.image, SYSTEM), epoch)
    image = work / "system.img"
    progress(f"file system ({system.fs})")
    if parent is None:
        filesystem.make(tree, image, wanted)
    else:
        _require_same_kind(parent.manifest, wanted)
        parent.store.materialise(parent.manifest.root, image)
        filesystem.bring_up_to(tree, image, wanted)
    progress("blocks in use")
    used = tuple(used_ranges(image, system.fs))
    partitions = [DraftPartition(SYSTEM, system.fs, wanted.size, True, wanted.uuid, "", image, used)]
    if shape.swap_mib:
        size = shape.swap_mib * filesystem.MIB
        partitions.append(DraftPartition("swap", "swap", size, uuid=debian.uuid_of(shape.image, "swap")))
    return Draft(
        name=shape.image,
        family=shape.family,
        title=recipe.title,
        kind="recipe",
        source={"recipe": hashlib.sha256(recipe.text.encode()).hexdigest(), "epoch": str(epoch), **found.release},
        parent=parent.image if parent else "",
        changes=changes or shape.changes or "",
        partitions=tuple(partitions),
        contents=found.as_contents(),
        release=found.release,
    )


def _require_same_kind(manifest: Manifest, wanted: filesystem.Wanted) -> None:
    """Blocks stay where they are only within one kind of file system, and its id is that of all versions."""
    if manifest.root.fs != wanted.fs or manifest.root.uuid != wanted.uuid:
        what = f"{manifest.name}/{manifest.version} is no parent of this image: another file system"
        raise UsageError(what, next_command="lab image build without --parent")


def _moment(work: Path) -> float:
    """Now, as the file system that everything is made on has it."""
    mark = work / "begun"
    mark.touch()
    return mark.stat().st_mtime
