"""The folder `index/`: everything in it follows from the entries and may be thrown away."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def derived_folder(directory: Path, name: str) -> Iterator[Path]:
    """`index/` of the log in `directory`, locked for what is called `name`.

    Where it can't be written (a copy on a read-only medium, another account) it is a folder for this once.
    """
    folder = directory / "index"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Waits for whoever builds the same thing, instead of building it a second time.
        lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        # Here, so that the start-up of `lab log show` does not pay for it.
        import tempfile

        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
