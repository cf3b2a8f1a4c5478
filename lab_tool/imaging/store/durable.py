"""Files that are there whole and on the disk, or not at all; and what to say when the disk does not take them."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab_tool.errors import LabError
from lab_tool.log.store import sync_folder

# Whatever begins with it was not finished; only who holds the store's lock has such a file.
UNFINISHED = ".new-"
FOLDERS = ("images", "cells", "contents", "esp", "packs")


def write_new(path: Path, data: bytes) -> None:
    """Write a file under its name once it is on the disk; one that is there already is replaced whole."""
    with unfinished(path.parent, path.name) as (beside, file):
        file.write(data)
        settle(file)
        beside.replace(path)
    sync_folder(path.parent)


@contextmanager
def unfinished(folder: Path, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file to be written beside its place; gone at the end unless it was renamed."""
    beside = folder / f"{UNFINISHED}{name}"
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield beside, file
    finally:
        beside.unlink(missing_ok=True)


def settle(file: IO[bytes]) -> None:
    """Make what was written durable."""
    file.flush()
    os.fsync(file.fileno())


def make_folders(root: Path) -> None:
    """The folders of a store, where they are not there yet."""
    for folder in (root, *(root / name for name in FOLDERS)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)


@contextmanager
def held(root: Path) -> Iterator[None]:
    """The store for one writer alone; what an earlier one left unfinished is swept away first."""
    make_folders(root)
    lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(root)
        yield
    finally:
        os.close(lock)


def sweep(root: Path) -> None:
    """Remove what was left unfinished."""
    for name in FOLDERS:
        for path in (root / name).glob(f"{UNFINISHED}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def told(where: Path) -> Iterator[None]:
    """A disk that is full or gone, as what to do about it. Raises `LabError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = f"the disk takes no more ({error.strerror}); nothing was added" if full else str(error.strerror or error)
        raise LabError(
            what, where=str(error.filename or where), next_command=f"df -h {where}" if full else ""
        ) from error
