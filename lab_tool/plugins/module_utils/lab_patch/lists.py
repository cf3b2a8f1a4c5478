"""apt's package lists: bringing them up to date or saying why not, and how old they are."""

from __future__ import annotations

import calendar
import os
import shutil
import time
from collections.abc import Iterator
from email.utils import parsedate
from pathlib import Path

from .programs import Programs, plain

LISTS = "/var/lib/apt/lists"
# Touched by complete success alone: the stamps of apt and Ubuntu are touched when one source out of many answers.
STAMP = "/var/lib/apt/periodic/lab-lists-complete-stamp"
# A rehearsal downloads into a folder of its own; only root writes below /var/cache.
REHEARSAL = "/var/cache/lab-patch-rehearsal"
# Hooks of an update act on the system.
REHEARSAL_SETTINGS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::lists "{lists}";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
# Older lists say nothing about what is pending (seconds).
MAX_AGE = 86_400


class ListsError(Exception):
    """The lists could not be brought up to date, all of them."""


def update(programs: Programs, proxy: str) -> None:
    """Fetch the lists of every source, through `proxy` unless empty; raises `ListsError` when a single one failed."""
    _fetch(programs, proxy, [])
    Path(STAMP).parent.mkdir(mode=0o755, exist_ok=True)
    Path(STAMP).touch(mode=0o644)


def rehearse(programs: Programs, proxy: str) -> tuple[str, str]:
    """The same into a folder beside the system's lists, which are not touched: its path, and apt settings naming it."""
    discard_rehearsal()
    lists = Path(REHEARSAL) / "lists"
    # What is known already need not be fetched again.
    shutil.copytree(LISTS, lists, ignore=shutil.ignore_patterns("lock", "partial", "auxfiles"))
    # apt drops its rights to download, so the folder can be entered by others.
    Path(REHEARSAL).chmod(0o755)
    settings = Path(REHEARSAL) / "apt.conf"
    settings.write_text(REHEARSAL_SETTINGS.format(lists=lists), encoding="utf-8")
    _fetch(programs, proxy, ["--config-file", str(settings)])
    _stamp_of(str(lists)).touch()
    return str(lists), str(settings)


def discard_rehearsal() -> bool:
    """Remove what a rehearsal left; whether there was anything."""
    if not os.path.lexists(REHEARSAL):
        return False
    shutil.rmtree(REHEARSAL)
    return True


def updated_at(lists: str = "") -> int:
    """When all lists were last fetched, as a time stamp in seconds; 0 for never."""
    try:
        return int(_stamp_of(lists).stat().st_mtime)
    except FileNotFoundError:
        return 0


def expired(now: int, lists: str = "") -> list[str]:
    """The sources whose Release file says that it is no longer valid, by file name."""
    return sorted(path.name for path, fields in _releases(lists) if 0 < _time(fields.get("Valid-Until", "")) < now)


def _releases(lists: str) -> Iterator[tuple[Path, dict[str, str]]]:
    for path in Path(lists or LISTS).glob("*Release"):
        fields = {}
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, colon, value = line.partition(":")
                if colon and not line.startswith(" "):
                    fields[key] = value.strip()
        yield path, fields


def _time(date: str) -> int:
    parsed = parsedate(date) if date else None
    return calendar.timegm(parsed) if parsed else 0


def _stamp_of(lists: str) -> Path:
    return Path(lists).parent / Path(STAMP).name if lists else Path(STAMP)


def _fetch(programs: Programs, proxy: str, options: list[str]) -> None:
    through = ["-o", f"Acquire::http::Proxy={proxy}"] if proxy else []
    # Without --error-on=any apt takes a mirror that is down for a warning, keeps the old lists and exits with 0.
    command = ("apt-get", *options, "update", "-qq", "--error-on=any", "-o", "Acquire::Retries=2", *through)
    code, _, err = programs.locking(*command)
    if code != 0:
        raise ListsError(plain(_first_error(err)))


def _first_error(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("E:")] or err.strip().splitlines()
    return lines[0] if lines else "apt-get update failed and did not say why"


def utc_text(seconds: int) -> str:
    """`2026-11-24T10:20:30Z`, or empty for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""
