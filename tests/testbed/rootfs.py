"""The root file system that all hosts share: built once by its recipe, kept in a cache, then only read."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.programs import run
from tests.testbed.recipe import Recipe, recipe_here

_UNUSED_DAYS = 30
# Should the builder be killed, so is everything that it started; else it would go on writing into the cache.
_CONTAINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def base() -> Path:
    """The root file system, built first when the cache (`LAB_TESTBED_CACHE`) has none of this recipe: about a minute.

    Raises `RoomError`.
    """
    cache = Path(os.environ.get("LAB_TESTBED_CACHE") or "/var/cache/lab-testbed").absolute()
    recipe = recipe_here()
    result = cache / recipe.digest
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _one_builder(cache):
        if not result.exists():
            _sweep(cache)
            _build(recipe, cache, result)
        os.utime(result)
    return result / "root"


@contextmanager
def _one_builder(cache: Path) -> Iterator[None]:
    """Two builders at once: the second waits, and finds the first one's work."""
    handle = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(recipe: Recipe, cache: Path, result: Path) -> None:
    """Whole or not at all."""
    work = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        recipe.write(work)
        (work / "new").mkdir()
        run(*_CONTAINED, *recipe.command(work, work / "new/root"), timeout=1800)
        (work / "new").rename(result)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what a killed builder left, and what nobody used for a month. Hold the cache's lock."""
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    for path in cache.iterdir():
        old = time.time() - path.stat().st_mtime > _UNUSED_DAYS * 86400
        if path.is_dir() and (path.name.startswith("building-") or old) and str(path) not in mounted:
            shutil.rmtree(path, ignore_errors=True)
