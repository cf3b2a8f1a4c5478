"""Files that were brought back, against what the snapshot says of them and against those the PC has now."""

from __future__ import annotations

import hashlib
import os
import random
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .snapshots import seconds

SPECIAL = re.compile(r"([\\*?\[])")
BLOCK = 1024 * 1024


@dataclass
class Comparison:
    """Counts; `wrong` are the paths that are not what the snapshot says, `live_wrong` those unlike the PC's own."""

    files: int = 0
    bytes: int = 0
    live: int = 0
    wrong: list[str] = field(default_factory=list)
    live_wrong: list[str] = field(default_factory=list)
    # SHA-256 by path.
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """One SHA-256 over the lines `hash  path`, as sha256sum writes them, in the order of paths."""
        lines = "".join(f"{self.hashes[path]}  {path}\n" for path in sorted(self.hashes))
        return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def below(nodes: Iterable[Mapping[str, Any]], path: str) -> list[Mapping[str, Any]]:
    """The nodes of a listing (`restic ls --json`) that are the path or lie below it."""
    start = path.rstrip("/") + "/"
    return [
        node
        for node in nodes
        if node.get("struct_type") == "node" and (node["path"] == path.rstrip("/") or node["path"].startswith(start))
    ]


def draw(nodes: Iterable[Mapping[str, Any]], seed: int, count: int) -> list[Mapping[str, Any]]:
    """That many files of a listing by lot: the same seed and the same files draw the same ones."""
    files = sorted((node for node in nodes if node.get("type") == "file"), key=lambda node: str(node["path"]))
    return random.Random(seed).sample(files, min(count, len(files)))


def pattern(path: str) -> str:
    """The path as a pattern of restic that means this path only."""
    return SPECIAL.sub(r"\\\1", path)


def size_of(nodes: Iterable[Mapping[str, Any]]) -> int:
    """The bytes of its files."""
    return sum(int(node.get("size", 0)) for node in nodes if node.get("type") == "file")


def compare(nodes: Sequence[Mapping[str, Any]], root: str, *, live: bool) -> Comparison:
    """Every node below `root` against the snapshot; with `live` also against the PC's own file, where unchanged."""
    found = Comparison()
    for node in nodes:
        path, restored = str(node["path"]), Path(root + str(node["path"]))
        if not _is_as_listed(node, restored):
            found.wrong.append(path)
            continue
        if node["type"] != "file":
            continue
        found.files += 1
        found.bytes += int(node.get("size", 0))
        found.hashes[path] = sha256(restored)
        if live and _is_unchanged(node, Path(path)):
            found.live += 1
            if sha256(Path(path)) != found.hashes[path]:
                found.live_wrong.append(path)
    return found


def _is_as_listed(node: Mapping[str, Any], path: Path) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    kinds = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK}
    kind = kinds.get(str(node["type"]))
    if kind is not None and not kind(there.st_mode):
        return False
    if node["type"] != "file":
        return True
    return there.st_size == int(node.get("size", 0)) and int(there.st_mtime) == seconds(str(node["mtime"]))


def _is_unchanged(node: Mapping[str, Any], path: Path) -> bool:
    """Whether the PC's own file is, by size and time of change, the one that was saved."""
    try:
        there = path.lstat()
    except OSError:
        return False
    same = there.st_size == int(node.get("size", 0)) and int(there.st_mtime) == seconds(str(node["mtime"]))
    return stat.S_ISREG(there.st_mode) and same


def loose(folder: Path) -> str:
    """The first folder on the way there that another than root could put something else in the place of."""
    for part in (*reversed(folder.parents), folder):
        found = part.lstat()
        by_others = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or by_others:
            return str(part)
    return ""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; of a file that can't be read, of nothing that could match."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        return f"unreadable: {os.strerror(error.errno or 0)}"
    return digest.hexdigest()
