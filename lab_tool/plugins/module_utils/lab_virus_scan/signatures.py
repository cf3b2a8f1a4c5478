"""Which signatures a PC has, and how old they are by their own word."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = "/var/lib/clamav"
WITH_HEADER = (".cvd", ".cld", ".cud")
HEADER = b"ClamAV-VDB:"
# What names the age where ClamAV's own databases are used: the other two are months old as a rule.
DAILY = "daily"
# Two clocks differ by a little.
TOLERANCE = 3600
HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True)
class Database:
    """A file of signatures; `built` in seconds (0: it does not say), `version` 0 where it has none."""

    name: str
    built: int
    version: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the log."""
        return {"name": self.name, "built": utc_text(self.built), "version": self.version}


@dataclass(frozen=True)
class Wanted:
    """What has to be there: `official` without an ending (`daily`), `extra` as whole names; not older than `limit`."""

    official: Sequence[str]
    extra: Sequence[str]
    limit: int


@dataclass(frozen=True)
class Signatures:
    """What is there; `built` is the moment that counts, `trouble` says why they are not good (empty: they are)."""

    databases: Sequence[Database]
    built: int
    age: int
    trouble: str

    @property
    def version(self) -> str:
        """The version of the daily database, or `extra`, or `none`."""
        daily = next((base.version for base in self.databases if _stem(base.name) == DAILY), 0)
        return str(daily) if daily else "extra" if self.databases else "none"

    def as_json(self) -> dict[str, Any]:
        """For the log."""
        return {
            "version": self.version,
            "built": utc_text(self.built),
            "age_hours": self.age // HOUR if self.built else -1,
            "files": [base.as_json() for base in self.databases],
        }


def look(wanted: Wanted, now: int, folder: str = FOLDER) -> Signatures:
    """Read what is there and judge it at the time `now`."""
    there = {path.name: path for path in Path(folder).iterdir()} if Path(folder).is_dir() else {}
    databases, missing = [], []
    for name in wanted.official:
        path = next((there[name + end] for end in (".cld", ".cvd") if name + end in there), None)
        if path:
            databases.append(read(path))
        else:
            missing.append(name)
    for name in wanted.extra:
        if name in there:
            databases.append(read(there[name]))
        else:
            missing.append(name)
    built = _counts(databases)
    return Signatures(databases, built, now - built, _trouble(databases, missing, built, now, wanted.limit))


def read(path: Path) -> Database:
    """A database by its header, or a plain file of signatures by its date."""
    if path.suffix not in WITH_HEADER:
        return Database(path.name, int(path.stat().st_mtime))
    with path.open("rb") as file:
        return read_header(path.name, file.read(512))


def read_header(name: str, header: bytes) -> Database:
    """`ClamAV-VDB:07 Nov 2026 03-30 -0500:27454:...`; the build time 0 where it is no such thing."""
    fields = header.decode("ascii", "replace").split(":")
    if not header.startswith(HEADER) or len(fields) < 3:
        return Database(name, 0)
    try:
        built = int(datetime.strptime(fields[1].strip(), "%d %b %Y %H-%M %z").timestamp())
        return Database(name, built, int(fields[2]))
    except ValueError:
        return Database(name, 0)


def digest(folder: str = FOLDER) -> str:
    """Changes when any file of signatures does."""
    seen = hashlib.sha256()
    for path in sorted(Path(folder).iterdir()):
        if path.is_file() and path.name != "freshclam.dat":
            status = path.stat()
            seen.update(f"{path.name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
    return seen.hexdigest()


def utc_text(seconds: int) -> str:
    """`2026-11-24T10:20:30Z`, or empty for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


def age_text(seconds: int) -> str:
    """`5 days`, or hours below two days."""
    return f"{seconds // DAY} days" if seconds >= 2 * DAY else f"{seconds // HOUR} hours"


def _counts(databases: Sequence[Database]) -> int:
    """The daily database's own build time; without one the oldest file, behind which no newer one can hide."""
    official = [base.built for base in databases if _stem(base.name) == DAILY]
    return official[0] if official else min((base.built for base in databases), default=0)


def _trouble(databases: Sequence[Database], missing: Sequence[str], built: int, now: int, limit: int) -> str:
    undated = [base.name for base in databases if not base.built]
    if not databases:
        return "there are no signatures"
    if missing:
        return f"signatures are missing: {', '.join(missing)}"
    if undated:
        return f"signatures are corrupt: {', '.join(undated)} has no valid date"
    future = [base for base in databases if base.built > now + TOLERANCE]
    if future:
        return f"signatures are dated in the future: {future[0].name} ({utc_text(future[0].built)})"
    if now - built > limit:
        return f"the signatures are {age_text(now - built)} old, the limit is {age_text(limit)}"
    return ""


def _stem(name: str) -> str:
    return name.partition(".")[0]
