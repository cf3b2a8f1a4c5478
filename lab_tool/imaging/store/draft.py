"""What an image is to become: partitions that lie in files or devices, and what is known of them. The store makes it one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class DraftPartition:
    """One partition. `device` is the file or device that is read, of at least `size` bytes (the rest of the last MiB counts
    as zeros); `used` are the byte ranges (start, end) in which the file system keeps anything, sorted. Swap, which is made
    anew on every PC, has neither. `uuid` is the file system's, `guid` that of the partition where the system needs one.
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
    """One image version to be. `kind` is recipe, capture or import, `source` says of what exactly (values are short texts).

    `parent` is the id of the version that it came from, or empty. `contents` is
    {"packages": {name: version}, "files": {path: "mode size sha256[:16]"}}. `esp` is a tar of files for the EFI partition.
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
