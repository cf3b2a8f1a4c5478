"""Ends of the log that a crash tore off: kept aside, byte for byte, and named in an entry."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "torn"
PENDING = ".pending"
BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A torn end: its file in `torn/`, where in the log it began, and what it was."""

    file: str
    offset: int
    size: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The body of `log.torn`."""
        return {"file": self.file, "offset": self.offset, "size": self.size, "sha256": self.sha256}


def set_aside(directory: Path, log: int, start: int) -> None:
    """Copy everything from `start` on into `torn/`, durable, pending until an entry names it."""
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = folder / "copying"
    digest = hashlib.sha256()
    copy = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(copy, "wb") as out:
        at = start
        while block := os.pread(log, BLOCK, at):
            digest.update(block)
            out.write(block)
            at += len(block)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(folder / f"{start:015d}-{digest.hexdigest()[:16]}{PENDING}")
    for path in (folder, directory):
        _sync(path)


def pending(directory: Path) -> list[Piece]:
    """Pieces set aside that no entry may have named yet, oldest place first."""
    folder = directory / FOLDER
    if not folder.exists():
        return []
    return [_piece(path) for path in sorted(folder.glob(f"*{PENDING}"))]


def settle(directory: Path, piece: Piece) -> None:
    """The entry is written: the piece is no longer pending."""
    final = directory / FOLDER / piece.file
    final.with_name(piece.file + PENDING).rename(final)
    _sync(final.parent)


def _piece(path: Path) -> Piece:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.name.removesuffix(PENDING)
    return Piece(name, int(name.split("-")[0]), path.stat().st_size, digest)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
