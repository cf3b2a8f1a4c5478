"""What is to become an image: partitions in files or devices, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What long work tells now and then: what it is at (`system`), how much is done and of how much, in bytes.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class DraftPartition:
    """One partition of `size` bytes, whole MiB. `device` is the file or device that is read; where it ends early, the
    rest counts as zeros. `used` are the byte ranges (start, end) in which the file system keeps anything, sorted. Swap,
    which is made anew on every PC, has neither. `uuid` is the file system's, `guid` the partition's where the system
    needs one.
    """

    name: str
    fs: str
    size: int
    grows: bool = False
    uuid: str = ""
    guid: str = ""
    device: Path | None = None
    used: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to be. `kind` is recipe, capture or import, `source` says of what exactly (values are short texts).

    `parent` is the id of the version that it came from, or empty. `contents` is
    {"packages": {name: version}, "files": {path: "mode size sha256[:16]"}}. `esp` is a tar of files for the EFI
    partition.
    """

    name: str
    family: str
    title: str
    kind: str
    source: Mapping[str, str]
    partitions: tuple[DraftPartition, ...]
    contents: Mapping[str, Any]
    parent: str = ""
    changes: str = ""
    esp: Path | None = None
    release: Mapping[str, str] = field(default_factory=dict)


def untold(what: str, done: int, total: int) -> None:
    """Progress that nobody wants to see."""
