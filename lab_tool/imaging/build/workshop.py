"""The folder in which one image is made. What a killed builder left behind goes when the next one begins."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "making-"


@contextmanager
def workshop(state: Path) -> Iterator[Path]:
    """An empty folder below the state folder, on the disk where images go; it is gone afterwards."""
    base = state / "image-work"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        # A folder that another builder just made is not one that nobody holds.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(base)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _sweep(base: Path) -> None:
    """Remove the folders that nobody holds any more."""
    for folder in base.glob(f"{_PREFIX}*"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
