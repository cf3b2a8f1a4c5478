"""Fixtures for tests of Windows images: an image of a small tree, and a disk that has its cells."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from lab_tool.imaging.build.wim import draft_of_wim
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.store.draft import Draft
from tests.integration.windows_disk import (
    MIB,
    loop_device,
    write_cells,
)
from tests.support.windows import (
    Value,
    hivex_for_this_python,
    make_hive,
    make_wim,
    make_windows,
    reason_not_available,
)

IMAGE, LARGER = 96 * MIB, 224 * MIB


@pytest.fixture(scope="module", autouse=True)
def tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where the tools are missing; with LAB_REQUIRE_HOSTS=1 that is a failure."""
    reason = reason_not_available()
    if reason and os.environ.get("LAB_REQUIRE_HOSTS") == "1":
        pytest.fail(f"LAB_REQUIRE_HOSTS=1, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    hivex_for_this_python(tmp_path_factory.mktemp("hivex"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for big files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lab-windows-", dir="/var/tmp") as place:
        yield Path(place)


@pytest.fixture
def image(folder: Path) -> Draft:
    """The image of a Windows."""
    return build(folder)


@pytest.fixture
def disk(folder: Path, image: Draft) -> Iterator[Path]:
    """A larger partition with other things on it before, and the image's cells."""
    with loop_device(LARGER, folder) as device:
        write_cells(image.partitions[0], device)
        yield device


def build(folder: Path, **tree: str) -> Draft:
    """An image of a tree such as `make_windows` makes."""
    root = folder / "tree"
    make_windows(root, **tree)
    work = folder / "work"
    work.mkdir()
    wim = make_wim(root, folder / "lab.wim")
    return draft_of_wim(wim, 1, work, name="windows-lab", title="Windows", size=IMAGE)


def altered(folder: Path, change: Callable[[Path], None]) -> Path:
    """A file with the image's partition as large as the image, in whose mounted file system something was changed."""
    part = build(folder).partitions[0]
    assert part.device is not None
    with ntfs.mounted(part.device) as root:
        change(root)
    return part.device


def put_hive(place: Path, values: Mapping[tuple[str, str], Value]) -> None:
    """Make a hive elsewhere and put it there: hivex keeps the file open."""
    with tempfile.TemporaryDirectory() as elsewhere:
        made = Path(elsewhere, "hive")
        make_hive(made, values)
        place.write_bytes(made.read_bytes())
