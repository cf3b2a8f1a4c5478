"""What makes a draft of an image. The draft's files last as long as the `with` block; the store reads them in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lab_tool.errors import UsageError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.store.draft import Draft
from lab_tool.settings import Settings

Progress = Callable[[str], None]


class Parents(Protocol):
    """What is asked of a store: the version that a new one comes from."""

    def get(self, ref: str) -> tuple[str, Manifest]:
        """The id and the manifest of `name`, `name/version` or the beginning of an id."""

    def materialise(self, part: Partition, path: Path) -> None:
        """Write a partition to a sparse file."""


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
    raise UsageError("images can't be built yet")
    yield  # the draft


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
    raise UsageError("disks can't be imported yet")
    yield


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
    raise UsageError("what a PC sent can't be taken in yet")
    yield
