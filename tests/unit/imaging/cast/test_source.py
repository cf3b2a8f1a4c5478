"""What a stream takes from the store's folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.format.packs import expand
from lab_tool.imaging.server.cast_source import CellSource
from tests.support.cast_image import make_image


def test_cells_come_in_the_order_of_the_disk(tmp_path: Path) -> None:
    image = make_image(tmp_path / "store", 6)
    source = CellSource(image.root, image.id)
    assert list(source.digests) == [digest for _, digest in image.cells.cells]
    with image.partition.open("rb") as disk:
        for at, (number, digest) in enumerate(image.cells.cells):
            disk.seek(number * image.cells.cell_size)
            content = expand(source.frame(at), digest, image.cells.cell_size)
            assert content == disk.read(image.cells.cell_size)
    source.close()


def test_a_cell_that_is_in_no_pack(tmp_path: Path) -> None:
    image = make_image(tmp_path / "store", 3)
    index = image.pack.with_suffix(".idx")
    index.write_bytes(index.read_bytes()[:-44])
    with pytest.raises(LabError, match="1 of its cells are in no pack"):
        CellSource(image.root, image.id)


def test_a_pack_that_was_cut(tmp_path: Path) -> None:
    image = make_image(tmp_path / "store", 3)
    image.pack.write_bytes(image.pack.read_bytes()[:-1])
    with pytest.raises(OSError, match="shorter"):
        CellSource(image.root, image.id).frame(2)


def test_an_image_that_is_not_here_or_another(tmp_path: Path) -> None:
    image = make_image(tmp_path / "store", 1)
    with pytest.raises(LabError, match="can't be sent"):
        CellSource(image.root, "0" * 64)
    manifest = image.root / "images" / image.id / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"debian-lab", b"debian-bad"))
    with pytest.raises(LabError, match="not the one that was signed"):
        CellSource(image.root, image.id)
