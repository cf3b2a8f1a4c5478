"""The one transaction: fetch and install what is marked in the cache."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from . import programs
from .programs import LOCKED, LockedError, plain


@contextmanager
def dpkg_locked(timeout: int) -> Iterator[None]:
    """Hold dpkg's lock; raises `LockedError` when something else still does after `timeout` seconds.

    apt's own `DPkg::Lock::Timeout` counts only where apt shows its progress to somebody, which python3-apt does not.
    """
    apt_pkg: Any = importlib.import_module("apt_pkg")
    apt_pkg.init_system()
    lock = apt_pkg.SystemLock()
    deadline = time.monotonic() + timeout
    while True:
        try:
            lock.__enter__()
            break
        except SystemError as error:
            if not LOCKED.search(str(error)):
                raise
            if time.monotonic() >= deadline:
                raise LockedError(f"apt was in use by something else for {timeout} s") from error
            time.sleep(programs.PAUSE)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def commit(cache: Any) -> str:
    """Install what is marked. What went wrong, in dpkg's or apt's words, never a package's own; empty for nothing.

    What the packages' scripts say may hold anything. It stands on the PC, in apt's own `/var/log/apt/term.log`.
    """
    errors: list[str] = []
    progress = importlib.import_module("apt.progress.base").InstallProgress()
    progress.error = lambda package, message: errors.append(f"{PurePosixPath(package).name}: {message}")
    progress.fork = _fork
    try:
        with progress:
            cache.commit(install_progress=progress)
    except Exception as error:
        # What python3-apt raises has no common base: SystemError, OSError, its own.
        return plain("; ".join(errors) or str(error) or type(error).__name__)
    return plain("; ".join(errors))


def _fork() -> int:
    """dpkg's process, with nobody to ask and nobody to talk to: standard output is the module's answer."""
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
    return child
