"""A store, and drafts from small files."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab_tool.imaging.format.cells import CELL_SIZE
from lab_tool.imaging.store.adding import Added, add
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.store import Store

MIB = 1024 * 1024
CONTENTS = {"packages": {"bash": "5.2"}, "files": {"/etc/passwd": "100644 100 0123456789abcdef"}}


def noise(seed: int, size: int) -> bytes:
    """Bytes that can't be compressed, the same each time."""
    return random.Random(seed).randbytes(size)


def no_signature(data: bytes) -> str:
    """In place of one: whether one counts is not the store's matter."""
    return "unsigned\n"


@dataclass
class Bench:
    """A store in a folder of its own, and the device that drafts are read from."""

    folder: Path
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store, looked at anew."""
        return Store(self.folder / "images")

    def device(self, content: bytes, name: str = "device") -> Path:
        """A file with that content."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def draft(self, content: bytes, used: tuple[tuple[int, int], ...] | None = None, **fields: Any) -> Draft:
        """An image of one partition with that content, and swap."""
        size = -(-len(content) // MIB) * MIB
        system = DraftPartition("system", "ext4", size, True, "u-1", "", self.device(content), used)
        usual: dict[str, Any] = {
            "name": "debian-lab",
            "family": "linux",
            "title": "Debian",
            "kind": "recipe",
            "source": {"recipe": "debian-lab"},
            "partitions": (system, DraftPartition("swap", "swap", MIB)),
            "contents": CONTENTS,
        }
        return Draft(**{**usual, **fields})

    def add(self, content: bytes, used: tuple[tuple[int, int], ...] | None = None, **fields: Any) -> Added:
        """Add it as the next version."""
        return add(self.store, self.draft(content, used, **fields), no_signature, "2026-11-24T10:20:30.000000Z", "tech")

    def files(self) -> dict[str, bytes]:
        """Everything in the store, but for its lock."""
        root = self.store.root
        paths = [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}

    def versions(self) -> list[str]:
        """The versions there are, all of them whole."""
        images, damaged = self.store.survey()
        assert not damaged
        return [one.ref for one in images]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty store."""
    return Bench(tmp_path)


@pytest.fixture
def cells() -> Callable[..., bytes]:
    """`cells(1, 2, 0)`: three cells of content, each told by its number; 0 is zeros."""

    def make(*seeds: int) -> bytes:
        return b"".join(noise(seed, CELL_SIZE) if seed else bytes(CELL_SIZE) for seed in seeds)

    return make
