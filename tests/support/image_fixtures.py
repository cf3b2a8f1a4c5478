"""Fixtures for tests of the client: files of an image server, the server, a PC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image_made import Files, linux_image
from tests.support.image_pc import Pc, make_pc
from tests.support.image_server import ImageServer, serving


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An image server's files."""
    return Files(tmp_path_factory.mktemp("srv"))


@pytest.fixture(scope="module")
def image(files: Files, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an image with an ext4 root."""
    return linux_image(files, tmp_path_factory.mktemp("made"))


@pytest.fixture
def server(files: Files, tmp_path: Path) -> Iterator[ImageServer]:
    """The server that has them."""
    with serving(files.folder, tmp_path) as there:
        yield there


@pytest.fixture
def pc(server: ImageServer, files: Files, tmp_path: Path) -> Pc:
    """A PC with an empty disk."""
    return make_pc(tmp_path, server, files)
