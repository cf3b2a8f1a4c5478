"""Deleting what is old in folders that belong to people who may be hostile: by descriptors, on one disk, never through
a symbolic link, and nothing that somebody has open."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .walk import FOLDER, open_folder

# Private folders of services are theirs to tidy.
OF_SYSTEMD = "systemd-private-"
# Folders in folders beyond this are left: somebody made them to exhaust who looks (descriptors, Python's stack).
DEEPEST = 100


@dataclass
class Freed:
    """What went, or would."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True)
class Sweep:
    """Deletes (unless `dry`) the files of which `is_old` says so by name and status."""

    is_old: Callable[[str, os.stat_result], bool]
    in_use: frozenset[tuple[int, int]]
    dry: bool
    freed: Freed

    def folder(self, path: str) -> None:
        """Sweep a folder, which stays itself."""
        try:
            folder = open_folder(os.fsencode(path))
        except OSError:
            return
        try:
            self._inside(folder, os.fstat(folder).st_dev, DEEPEST)
        finally:
            os.close(folder)

    def _inside(self, folder: int, device: int, deeper: int) -> None:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            # Whoever it belongs to may be faster.
            with suppress(OSError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    self._folder(folder, name, status, device, deeper - 1)
                elif self._goes(name, status):
                    self._delete(folder, name, status)

    def _folder(self, above: int, name: str, status: os.stat_result, device: int, deeper: int) -> None:
        if not deeper or status.st_dev != device or name.startswith(OF_SYSTEMD) or status.st_mode & stat.S_ISVTX:
            return
        inner = os.open(name, FOLDER, dir_fd=above)
        try:
            if os.fstat(inner).st_dev == device:
                self._inside(inner, device, deeper)
        finally:
            os.close(inner)
        if not self.dry and self.is_old(name, status) and (status.st_dev, status.st_ino) not in self.in_use:
            # Only where it is empty.
            os.rmdir(name, dir_fd=above)

    def _goes(self, name: str, status: os.stat_result) -> bool:
        kind = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
        return kind and self.is_old(name, status) and (status.st_dev, status.st_ino) not in self.in_use

    def _delete(self, folder: int, name: str, status: os.stat_result) -> None:
        if not self.dry:
            os.unlink(name, dir_fd=folder)
        self.freed.files += 1
        # A file with another name elsewhere frees nothing.
        self.freed.size += status.st_blocks * 512 if status.st_nlink == 1 else 0


def open_files() -> frozenset[tuple[int, int]]:
    """Device and inode of all that a process has open, maps, or works in."""
    return frozenset(_open_files())


def _open_files() -> Iterator[tuple[int, int]]:
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        for link in (process / "cwd", process / "exe", *_inside(process / "fd"), *_inside(process / "map_files")):
            # Processes end.
            with suppress(OSError):
                status = link.stat()
                yield status.st_dev, status.st_ino


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
