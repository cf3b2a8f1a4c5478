"""Recipes: what an image is made from, as `inventory/images/<recipe>.yml` says. Plain values, as everywhere there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from lab_tool.errors import UsageError
from lab_tool.school.explain import fit
from lab_tool.school.files import Document, read_document
from lab_tool.school.patterns import FilePath, FreeText, Id, ImageName, PackageName
from lab_tool.school.problem import InventoryError, Problem, did_you_mean
from lab_tool.school.shapes import Shape, TextShape

FOLDER = "images"
RECIPE_FILE = re.compile(r"[a-z0-9][a-z0-9_]*\.yml")
KERNEL = "linux-image-amd64"
Component = Literal["main", "contrib", "non-free", "non-free-firmware", "restricted", "universe", "multiverse"]


class DebianShape(Shape):
    """A release of the distribution that this control node itself runs, from where its apt gets packages."""

    suite: Id
    components: list[Component] = Field(default=[])
    variant: Literal["minbase", "important", "standard"] = "minbase"


class WimShape(Shape):
    """One of the images in a WIM file. `esp` is a folder with what is in a reference PC's EFI partition, `drivers` one
    with driver packages for models that the WIM does not know.
    """

    file: FilePath
    index: Annotated[int, Field(ge=1, le=99)] = 1
    esp: FilePath
    drivers: FilePath | None = None


class DiskShape(Shape):
    """A whole disk, as a file that qemu-img reads."""

    file: FilePath


class OriginShape(Shape):
    """Exactly one of the three."""

    debian: DebianShape | None = None
    wim: WimShape | None = None
    disk: DiskShape | None = None


class SystemPartitionShape(Shape):
    """The partition of the operating system: what a PC must have room for; it grows on larger disks."""

    fs: Literal["ext4", "xfs", "btrfs", "ntfs"] = "ext4"
    size_mib: Annotated[int, Field(ge=64, le=4_000_000)]


class RecipeShape(Shape):
    """`images/<recipe>.yml`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    image: ImageName
    title: TextShape
    family: Literal["linux", "windows"]
    origin: Annotated[OriginShape, Field(alias="from")]
    packages: list[PackageName] = Field(default=[])
    kernel: PackageName = KERNEL
    firmware: list[PackageName] = Field(default=[])
    system: SystemPartitionShape | None = None
    swap_mib: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    roles: list[Id] = Field(default=[])
    changes: FreeText | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that holds together. `folder` is where relative paths in it start; `text` is the file's."""

    shape: RecipeShape
    folder: Path
    text: str

    @property
    def system(self) -> SystemPartitionShape:
        """Its partition; every recipe but that of a disk has one."""
        if self.shape.system is None:
            raise UsageError(f"the recipe {self.shape.image} says no system")
        return self.shape.system

    @property
    def title(self) -> str:
        """Both languages in one line."""
        return f"{self.shape.title.zh} / {self.shape.title.en}"


def load_recipe(inventory: Path, name: str, label: str = "inventory") -> Recipe:
    """The recipe of the image `name`. Raises `InventoryError` with all that is wrong with it, and `UsageError`."""
    folder = inventory / FOLDER
    stem = name.replace("-", "_")
    known = sorted(path.stem for path in folder.glob("*.yml") if RECIPE_FILE.fullmatch(path.name))
    if stem not in known:
        raise UsageError(f"no recipe is named {name!r}. {did_you_mean(stem, known)}".strip(), where=str(folder))
    document, problems = read_document(folder / f"{stem}.yml", f"{label}/{FOLDER}/{stem}.yml")
    shape = None
    if document:
        shape, faults = fit(document, RecipeShape)
        problems += faults
        problems += _check(document, shape, stem) if shape else ()
    if problems or document is None or shape is None:
        raise InventoryError(problems)
    return Recipe(shape, folder, document.text)


def check_recipe(path: Path, file: str) -> Iterator[Problem]:
    """Everything wrong with a file in `images`; `file` is its name for messages."""
    if not RECIPE_FILE.fullmatch(path.name):
        fix = "Recipes are named <image>.yml, lower case, with _ for -; move others out of this folder"
        yield Problem(file, 0, "not a recipe", fix)
        return
    document, problems = read_document(path, file)
    yield from problems
    if document:
        shape, problems = fit(document, RecipeShape)
        yield from problems
        yield from _check(document, shape, path.stem) if shape else ()


def _check(document: Document, shape: RecipeShape, stem: str) -> Iterator[Problem]:
    """What its parts have to do with one another."""
    if shape.image.replace("-", "_") != stem:
        fix = f"Call the file {shape.image.replace('-', '_')}.yml"
        yield document.problem(("image",), f"the recipe of {shape.image!r} in {stem}.yml", fix)
    given = [name for name in ("debian", "wim", "disk") if getattr(shape.origin, name) is not None]
    if len(given) != 1:
        yield document.problem(("from",), "an image comes from exactly one of debian, wim, disk", "Keep one")
        return
    origin = given[0]
    if origin != "disk" and shape.system is None:
        yield document.problem((), "'system' is missing", "Add it, such as {fs: ext4, size_mib: 4096}")
    if origin == "debian" and shape.family != "linux":
        yield document.problem(("family",), "Debian is of the family linux", "Write linux")
    if origin == "wim" and shape.family != "windows":
        yield document.problem(("family",), "a WIM is of the family windows", "Write windows")
    if shape.system and (shape.system.fs == "ntfs") is not (shape.family == "windows"):
        yield document.problem(("system", "fs"), "Windows lies on ntfs, and nothing else does", "Choose another")
    if origin == "disk" and shape.system:
        yield document.problem(("system",), "a disk brings its partitions with it", "Remove it")
    for field in ("packages", "firmware", "roles"):
        if origin != "debian" and getattr(shape, field):
            yield document.problem((field,), f"{field} go into images made from debian only", "Remove them")
    if origin != "debian" and shape.swap_mib:
        yield document.problem(("swap_mib",), "swap is made for images from debian only", "Remove it")
