"""Putting a file where it can do no harm, keeping what it was, and giving it back.

A file is copied, not renamed: that works from any disk, and what was looked at is what is kept, since both are read
from one descriptor. Its name is removed only where it still stands for that very file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import private_folder, read_json, write_json
from .names import shown
from .walk import FILE, Place, open_folder, parted

FOLDER = "/var/lib/lab/quarantine"
IDENTIFIER = re.compile(r"q-[0-9a-f]{12}")
# Never the last of the disk: the PC must go on working.
RESERVE = 64 * 1024**2
_CHUNK = 1024**2


class QuarantineError(Exception):
    """It could not be put away, or not be given back."""


@dataclass(frozen=True)
class Record:
    """What is known of a file in quarantine; `path` as Python decodes names (undecodable bytes as surrogates)."""

    id: str
    path: str
    sha256: str
    signature: str
    uid: int
    gid: int
    mode: int
    size: int
    modified_ns: int
    time: str

    def as_json(self) -> dict[str, Any]:
        """For the log: no owner, no mode; the path so that it breaks nothing."""
        return {
            "id": self.id,
            "path": shown(self.path),
            "sha256": self.sha256,
            "signature": self.signature,
            "time": self.time,
        }

    def as_restored(self) -> dict[str, Any]:
        """For reading it back: also who owned it, and the path as it is."""
        exact = {"path_hex": os.fsencode(self.path).hex(), "owner": [self.uid, self.gid, self.mode]}
        return {**self.as_json(), **exact}


def put(place: Place, descriptor: int, signature: str, time: str, folder: str = FOLDER) -> Record:
    """Take the file open as `descriptor`, listed as `place`, into quarantine. Raises `QuarantineError`.

    Where it can't be taken it is at least closed to everybody: owner root, mode 000.
    """
    private_folder(folder)
    status = os.fstat(descriptor)
    try:
        sha256 = digest_of(descriptor)
        record = Record(
            identifier(place.path, sha256),
            os.fsdecode(place.path),
            sha256,
            signature,
            status.st_uid,
            status.st_gid,
            stat.S_IMODE(status.st_mode),
            status.st_size,
            status.st_mtime_ns,
            time,
        )
        _copy(descriptor, record, folder)
        write_json(f"{folder}/{record.id}.json", vars(record))
        _remove(place, status)
    except OSError as error:
        closed = _close(descriptor)
        raise QuarantineError(f"{error.strerror}{' (closed to everybody where it is)' if closed else ''}") from error
    return record


def identifier(path: bytes, sha256: str) -> str:
    """The same file at the same place has the same id: planting it again and again fills no disk."""
    return "q-" + hashlib.sha256(path + b"\0" + sha256.encode()).hexdigest()[:12]


def digest_of(descriptor: int) -> str:
    """SHA-256 of an open file, from its beginning."""
    seen = hashlib.sha256()
    for chunk in _chunks(descriptor):
        seen.update(chunk)
    return seen.hexdigest()


def records(folder: str = FOLDER) -> list[Record]:
    """All that is in quarantine, the latest first."""
    if not Path(folder).is_dir():
        return []
    found = [read_json(str(path)) for path in Path(folder).glob("q-*.json")]
    return sorted((Record(**fields) for fields in found if fields), key=lambda record: record.time, reverse=True)


def trouble(record: Record, folder: str = FOLDER) -> str:
    """Read back: why the file is not safely in quarantine; empty where it is."""
    try:
        descriptor = os.open(f"{folder}/{record.id}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return f"{error.strerror}"
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) or status.st_uid:
            return "it is not closed to everybody"
        return "" if digest_of(descriptor) == record.sha256 else "its content has changed"
    finally:
        os.close(descriptor)


def restore(wanted: str, folder: str = FOLDER, *, dry: bool = False) -> Record:
    """Give a file back to its place, with its owner, mode and time; never over anything. Raises `QuarantineError`.

    `dry`: only see whether it could be.
    """
    fields = read_json(f"{folder}/{wanted}.json") if IDENTIFIER.fullmatch(wanted) else None
    if not fields:
        raise QuarantineError(f"there is no {wanted} in quarantine")
    record = Record(**fields)
    wrong = trouble(record, folder)
    if wrong:
        raise QuarantineError(f"{wanted} can't be given back: {wrong}")
    folder_path, name = parted(os.fsencode(record.path))
    try:
        above = open_folder(folder_path)
    except OSError as error:
        raise QuarantineError(f"its folder is gone: {error.strerror}") from error
    try:
        if not dry:
            _give(record, above, name, folder)
        elif _is_there(above, name):
            raise FileExistsError
    except FileExistsError as error:
        raise QuarantineError("there is a file of that name now") from error
    except OSError as error:
        raise QuarantineError(f"{error.strerror}") from error
    finally:
        os.close(above)
    if dry:
        return record
    # The record goes last: what is interrupted here is still known.
    Path(folder, record.id).unlink(missing_ok=True)
    Path(folder, f"{record.id}.json").unlink(missing_ok=True)
    return record


def misplaced(restored: dict[str, Any], folder: str = FOLDER) -> str:
    """Read back: why the file is not as it was before (`Record.as_restored`); empty where it is."""
    folder_path, name = parted(bytes.fromhex(restored["path_hex"]))
    try:
        above = open_folder(folder_path)
        try:
            descriptor = os.open(name, FILE, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        return f"it is not at its place: {error.strerror}"
    try:
        status = os.fstat(descriptor)
        if [status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)] != restored["owner"]:
            return "it has another owner or mode"
        if digest_of(descriptor) != restored["sha256"]:
            return "it has another content"
    finally:
        os.close(descriptor)
    return "it is still in quarantine" if os.path.lexists(f"{folder}/{restored['id']}.json") else ""


def _is_there(above: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _give(record: Record, above: int, name: bytes, folder: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open(name, flags, 0o600, dir_fd=above)
    source = os.open(f"{folder}/{record.id}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for chunk in _chunks(source):
            _write(target, chunk)
        os.fchown(target, record.uid, record.gid)
        os.fchmod(target, record.mode)
        os.utime(target, ns=(record.modified_ns, record.modified_ns))
        os.fsync(target)
    except OSError:
        os.unlink(name, dir_fd=above)
        raise
    finally:
        os.close(source)
        os.close(target)


def _copy(descriptor: int, record: Record, folder: str) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < record.size + RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    draft, path = f"{folder}/{record.id}.part", f"{folder}/{record.id}"
    copy = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(copy, 0)
        for chunk in _chunks(descriptor):
            _write(copy, chunk)
        os.fsync(copy)
        if digest_of(copy) != record.sha256:
            raise OSError(errno.EBUSY, "it changes while it is read")
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    finally:
        os.close(copy)


def _remove(place: Place, status: os.stat_result) -> None:
    """Take the name away where it still stands for the file; where it does not, somebody moved the file meanwhile."""
    now = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
        raise OSError(errno.ESTALE, "somebody put another file in its place")
    os.unlink(place.name, dir_fd=place.folder)


def _close(descriptor: int) -> bool:
    try:
        os.fchmod(descriptor, 0)
        os.fchown(descriptor, 0, 0)
    except OSError:
        return False
    return True


def _chunks(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while True:
        chunk = os.pread(descriptor, _CHUNK, offset)
        if not chunk:
            return
        yield chunk
        offset += len(chunk)


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
