"""Checkpoints in a folder: one file each, never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from lab_tool.log.note import LONGEST
from lab_tool.log.store import sync_folder


def keep(folder: Path, name: str, data: bytes, *, mode: int = 0o600) -> Path:
    """Write `data` to a new file in `folder`, durable. The same data under the same name is no error; other data is:
    `FileExistsError`.
    """
    path = folder / name
    unfinished = folder / f".{name}.new"
    unfinished.unlink(missing_ok=True)
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    try:
        # Unlike a rename, a link replaces nothing.
        path.hardlink_to(unfinished)
    except FileExistsError:
        if path.read_bytes() != data:
            raise
    finally:
        unfinished.unlink()
    sync_folder(folder)
    return path


def kept(folder: Path) -> list[tuple[str, bytes]]:
    """Name and content of every checkpoint in `folder`, in order of size; none where there is no folder."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob("*.txt")):
        if path.is_file():
            with path.open("rb") as file:
                # One byte more than is allowed, so that it is seen to be too long.
                found.append((path.name, file.read(LONGEST + 1)))
    return found
