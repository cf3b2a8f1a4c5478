"""Freeing a disk of what is old, item by item."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .schedule import roots
from .signatures import DAY
from .sweep import Freed, Sweep, open_files

ROTATED = re.compile(r".+(\.(gz|xz|bz2|zst|old)|\.[0-9]+|-[0-9]{8})")
JOURNALS = ("/var/log/journal", "/run/log/journal")
ARCHIVES = ("/var/cache/apt/archives", "/var/cache/apt/archives/partial")
_TRIMMED = re.compile(r"\(([0-9]+) bytes\) trimmed")

Run = Callable[["list[str]"], "tuple[int, str]"]


@dataclass(frozen=True)
class Ages:
    """How old, in days, what goes is."""

    temporary: int
    logs: int
    trash: int


class Tidy:
    """One tidying; `now` in seconds; `dry`: only say what would go."""

    def __init__(self, run: Run, ages: Ages, now: int, dry: bool) -> None:
        self._run, self._ages, self._now, self._dry = run, ages, now, dry
        self.notes: list[str] = []

    def all(self, items: Sequence[str]) -> dict[str, Any]:
        """What was freed: `freed` in bytes, `items` (bytes and files of each), `notes`."""
        ways: Mapping[str, Callable[[], Freed]] = {
            "temporary": self._temporary,
            "journal": self._journal,
            "logs": self._logs,
            "packages": self._packages,
            "trash": self._trash,
            "trim": self._trim,
        }
        done = {item: ways[item]() for item in ways if item in items}
        freed = sum(each.size for item, each in done.items() if item != "trim")
        said = {item: {"bytes": each.size, "files": each.files} for item, each in done.items()}
        return {"freed": freed, "items": said, "notes": self.notes}

    def _temporary(self) -> Freed:
        def is_old(name: str, status: os.stat_result) -> bool:
            last = max(status.st_mtime, status.st_ctime, 0 if _is_folder(status) else status.st_atime)
            return last < self._now - self._ages.temporary * DAY

        return self._swept(is_old, ["/tmp", "/var/tmp"])

    def _logs(self) -> Freed:
        def is_old(name: str, status: os.stat_result) -> bool:
            if _is_folder(status) or not ROTATED.fullmatch(name):
                return False
            return status.st_mtime < self._now - self._ages.logs * DAY

        return self._swept(is_old, ["/var/log"])

    def _trash(self) -> Freed:
        """What was thrown away: its change time is that of the throwing, whatever the file's own date says."""

        def is_old(name: str, status: os.stat_result) -> bool:
            return status.st_ctime < self._now - self._ages.trash * DAY

        homes = [home for root in roots("home", ()) for home in (root, *_folders(root))]
        trashes = [f"{home}/.local/share/Trash/{part}" for home in homes for part in ("files", "info")]
        return self._swept(is_old, trashes)

    def _swept(self, is_old: Callable[[str, os.stat_result], bool], folders: Sequence[str]) -> Freed:
        freed = Freed()
        sweep = Sweep(is_old, open_files(), self._dry, freed)
        for folder in folders:
            sweep.folder(folder)
        return freed

    def _journal(self) -> Freed:
        limit = self._now - self._ages.logs * DAY
        files = [path for folder in JOURNALS for path in Path(folder).glob("*/*@*.journal*")]
        if self._dry:
            old = [path.stat() for path in files if path.stat().st_mtime < limit]
            return Freed(len(old), sum(status.st_blocks * 512 for status in old))
        before = {path: path.stat().st_blocks * 512 for path in files}
        self._told("journal", ["journalctl", "--quiet", f"--vacuum-time={self._ages.logs}d"])
        gone = [size for path, size in before.items() if not path.exists()]
        return Freed(len(gone), sum(gone))

    def _packages(self) -> Freed:
        files = [path for folder in ARCHIVES for path in Path(folder).glob("*.deb*")]
        before = {path: path.stat().st_blocks * 512 for path in files}
        if not self._dry and before:
            self._told("packages", ["apt-get", "clean"])
        gone = [size for path, size in before.items() if self._dry or not path.exists()]
        return Freed(len(gone), sum(gone))

    def _trim(self) -> Freed:
        if self._run(["systemd-detect-virt", "--quiet", "--container"])[0] == 0:
            self.notes.append("trim: the disk of a container is not its own")
            return Freed()
        if self._dry:
            return Freed()
        out = self._told("trim", ["fstrim", "--all", "--verbose", "--quiet-unsupported"])
        sizes = [int(size) for size in _TRIMMED.findall(out)]
        return Freed(len(sizes), sum(sizes))

    def _told(self, item: str, argv: list[str]) -> str:
        code, out = self._run(argv)
        if code:
            said = out.strip().splitlines()
            self.notes.append(f"{item}: {said[-1][:200] if said else f'exit code {code}'}")
        return out


def _is_folder(status: os.stat_result) -> bool:
    return status.st_mode & 0o170000 == 0o040000


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
