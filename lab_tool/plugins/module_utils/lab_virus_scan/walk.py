"""Going through folders that belong to people who may be hostile: by descriptors, never through a symbolic link.

The order is that of the paths' components, so one path says how far a walk has come.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .mounts import Mounts

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Neither waits for the other end of a pipe, nor counts as somebody's reading.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Gone or replaced since it was listed: no error of the disk.
VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)

# Folders in folders beyond this are not entered, and told: each level holds a descriptor, a path and a key, and
# somebody could make so many that the scan runs out of memory.
DEEPEST = 1000

# The root of the walk and the names below it.
Key = tuple[bytes, ...]
# An open folder, what is left of its entries (names, and which are folders), its path, key and device.
Level = tuple[int, Iterator[tuple[bytes, bool]], bytes, Key, int]


@dataclass(frozen=True)
class Place:
    """A file as it is listed: `folder` is open only until the next one is asked for."""

    folder: int
    name: bytes
    path: bytes
    key: Key


@dataclass
class Walk:
    """A walk over the regular files below some roots; `excluded`: shell patterns on whole paths."""

    mounts: Mounts
    excluded: Sequence[bytes] = ()
    on_error: Callable[[bytes, OSError], None] = lambda path, error: None
    foreign: int = field(default=0)

    def files(self, roots: Sequence[bytes], after: Key = ()) -> Iterator[Place]:
        """The files, those up to and including the key `after` left out."""
        for root in sorted({os.path.realpath(root) for root in roots}):
            if _may_hold((root,), after):
                yield from self._below(root, after)

    def _below(self, root: bytes, after: Key) -> Iterator[Place]:
        stack: list[Level] = []
        try:
            try:
                above = open_folder(parted(root)[0])
            except OSError as error:
                self._failed(root, error)
                return
            try:
                name = parted(root)[1] or b"."
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    if not self._is_excluded(root) and (root,) > after:
                        yield Place(above, name, root, (root,))
                elif not self.mounts.is_foreign(root) and self.mounts.may_cross(-1, status.st_dev):
                    self._enter(stack, above, name, root, (root,), -1)
                else:
                    self.foreign += 1
            except OSError as error:
                self._failed(root, error)
            finally:
                os.close(above)
            while stack:
                folder, entries, path, key, device = stack[-1]
                name, is_folder = next(entries, (b"", False))
                if not name:
                    os.close(folder)
                    stack.pop()
                    continue
                inner, inner_key = path.rstrip(b"/") + b"/" + name, (*key, name)
                if not _may_hold(inner_key, after) or self._is_excluded(inner):
                    continue
                if not is_folder:
                    if inner_key > after:
                        yield Place(folder, name, inner, inner_key)
                elif self.mounts.is_foreign(inner):
                    self.foreign += 1
                else:
                    self._enter(stack, folder, name, inner, inner_key, device)
        finally:
            for folder, *_ in stack:
                os.close(folder)

    def _enter(self, stack: list[Level], above: int, name: bytes, path: bytes, key: Key, device: int) -> None:
        try:
            if len(stack) >= DEEPEST:
                raise OSError(errno.ENAMETOOLONG, f"more than {DEEPEST} folders deep")
            folder = os.open(name, FOLDER, dir_fd=above)
        except OSError as error:
            self._failed(path, error)
            return
        try:
            own = os.fstat(folder).st_dev
            if device != -1 and not self.mounts.may_cross(device, own):
                self.foreign += 1
                os.close(folder)
                return
            stack.append((folder, iter(_listed(folder)), path, key, own))
        except OSError as error:
            os.close(folder)
            self._failed(path, error)

    def _failed(self, path: bytes, error: OSError) -> None:
        if error.errno not in VANISHED:
            self.on_error(path, error)

    def _is_excluded(self, path: bytes) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.excluded)


def _listed(folder: int) -> list[tuple[bytes, bool]]:
    """Names of regular files and folders in order, and which are folders. Everything else is never opened."""
    with os.scandir(folder) as entries:
        found = [
            (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False))
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        ]
    return sorted(found)


def _may_hold(key: Key, after: Key) -> bool:
    """Whether something at or below `key` comes after the key `after`."""
    return key >= after[: len(key)]


def parted(path: bytes) -> tuple[bytes, bytes]:
    """An absolute path as its folder and the name in it."""
    above, _, name = path.rpartition(b"/")
    return above or b"/", name


def open_folder(path: bytes) -> int:
    """Open a folder by its absolute path, through no symbolic link."""
    folder = os.open(b"/", FOLDER)
    for name in path.split(b"/"):
        if name in (b"", b"."):
            continue
        if name == b"..":
            os.close(folder)
            raise OSError(errno.EINVAL, "a path with ..")
        try:
            inner = os.open(name, FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def open_file(place: Place) -> int:
    """Open a listed file for reading; raises `OSError`, also where it is no regular file any more."""
    try:
        descriptor = os.open(place.name, FILE | os.O_NOATIME, dir_fd=place.folder)
    except PermissionError:
        descriptor = os.open(place.name, FILE, dir_fd=place.folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENOENT, "no regular file any more")
    return descriptor
