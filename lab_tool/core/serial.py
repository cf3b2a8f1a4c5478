"""One at a time: reading the log, deciding by it and adding to it, against others who do the same."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lab_tool.errors import LogWriteError
from lab_tool.settings import Settings


@contextmanager
def one_at_a_time(settings: Settings) -> Iterator[None]:
    """Wait for whoever is deciding, and keep others waiting; never while a person is asked for something."""
    path = settings.state / "deciding.lock"
    try:
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LogWriteError(f"can't be locked: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
