"""The one place that writes the log: append, durable before acknowledged, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab_tool.clock import utc_now, utc_text
from lab_tool.errors import LogWriteError, VerificationError
from lab_tool.log import torn
from lab_tool.log.entry import NO_PREV, Entry, Subject, read_line, write_line
from lab_tool.log.tail import last_line, torn_from

ENTRIES = "entries.jsonl"
LOCK = "lock"
KIND = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")
# Who writes the entries that nobody asked for.
LOG_ITSELF = "lab"


@dataclass(frozen=True, slots=True)
class LogStore:
    """The log in `directory`, which is made at the first entry."""

    directory: Path
    clock: Callable[[], datetime] = utc_now

    def append(self, *, actor: str, kind: str, subject: Subject, body: Mapping[str, Any]) -> Entry:
        """Add an entry and return it once it is on the disk.

        Raises `LogWriteError` when that can't be done: the log is then as it was before. Raises `VerificationError`
        when what is there isn't the log that was there.
        """
        if not KIND.fullmatch(kind):
            raise ValueError(f"not a kind of entry: {kind!r}")
        try:
            with self._open() as file:
                self._heal(file)
                return self._append(file, actor=actor, kind=kind, subject=subject, body=body)
        except OSError as error:
            raise _write_error(self.directory, error) from error

    def _append(self, file: int, *, actor: str, kind: str, subject: Subject, body: Mapping[str, Any]) -> Entry:
        seq, prev = self._next(file)
        try:
            line = write_line(
                seq=seq, time=utc_text(self.clock()), actor=actor, kind=kind, subject=subject, body=body, prev=prev
            )
        except (TypeError, ValueError, RecursionError) as error:
            raise LogWriteError(f"an entry {kind} can't be written: {error}", where=str(self.directory)) from error
        _write(file, line + b"\n")
        return read_line(line)

    def _next(self, file: int) -> tuple[int, str]:
        """Number and `prev` of the next entry, from the last line alone."""
        last = self._last(file)
        return (last.seq + 1, last.hash) if last else (0, NO_PREV)

    def _last(self, file: int) -> Entry | None:
        line = last_line(file, os.fstat(file).st_size)
        if line is None:
            return None
        try:
            return read_line(line)
        except ValueError as error:
            raise VerificationError(
                f"the last line is whole but no entry ({error}), so nothing can follow it",
                where=str(self.directory / ENTRIES),
                next_command="lab log verify",
            ) from error

    def _heal(self, file: int) -> None:
        """Set a torn end aside and say so in an entry, also when a crash interrupted that very thing earlier."""
        start = torn_from(file, os.fstat(file).st_size)
        if start == 0:
            # No whole entry is left: that is only a beginning if there was nothing before.
            refuse_if_emptied(self.directory)
        if start is not None:
            torn.set_aside(self.directory, file, start)
            os.ftruncate(file, start)
            os.fsync(file)
        for piece in torn.pending(self.directory):
            last = self._last(file)
            if last is None or last.kind != "log.torn" or last.body.get("file") != piece.file:
                self._append(file, actor=LOG_ITSELF, kind="log.torn", subject=Subject(), body=piece.as_json())
            torn.settle(self.directory, piece)

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The entries, open for appending, with the lock held."""
        _make_folder(self.directory)
        lock = os.open(self.directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self._open_entries()
            try:
                yield file
            finally:
                os.close(file)
        finally:
            # Not left to close: a process forked meanwhile would hold the lock on.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def _open_entries(self) -> int:
        path = self.directory / ENTRIES
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(path, flags)
        except FileNotFoundError:
            refuse_if_emptied(self.directory)
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            sync_folder(self.directory)
        try:
            found = os.fstat(file)
            _check_private(path, found)
            if found.st_size == 0:
                refuse_if_emptied(self.directory)
        except BaseException:
            os.close(file)
            raise
        return file


def refuse_if_emptied(directory: Path) -> None:
    """Raise `VerificationError` if the folder shows that there were entries where now there are none."""
    for name in ("checkpoints", "index"):
        folder = directory / name
        if folder.is_dir() and any(folder.iterdir()):
            raise VerificationError(
                f"the log is gone, but {name}/ shows that there was one; no new one is begun in its place. "
                f"Bring {ENTRIES} back from a copy",
                where=str(directory / ENTRIES),
                next_command="lab log verify",
            )


def settled_size(directory: Path) -> int:
    """Bytes of the log's whole entries that no writer takes back any more; 0 when there are none.

    A writer that fails to reach the disk cuts its entry off again while it holds the lock.
    """
    try:
        # Not to wait for the other end, should it be a pipe.
        file = os.open(directory / ENTRIES, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return 0
    try:
        with _shared_lock(directory):
            size = os.fstat(file).st_size
        torn_end = torn_from(file, size)
        return size if torn_end is None else torn_end
    finally:
        os.close(file)


@contextmanager
def _shared_lock(directory: Path) -> Iterator[None]:
    """Keep writers out for a moment; a copy of a log has no lock, and needs none."""
    try:
        lock = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def sync_folder(folder: Path) -> None:
    """Make a file's name in `folder` as durable as the file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: int, data: bytes) -> None:
    """All of `data`, on the disk, or nothing."""
    size = os.fstat(file).st_size
    try:
        if os.write(file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        os.fsync(file)
        raise


def _make_folder(directory: Path) -> None:
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(directory.parent)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise LogWriteError("the log's folder is a link or no folder", where=str(directory))
    _check_private(directory, found)


def _check_private(path: Path, found: os.stat_result) -> None:
    """Refuse what somebody else could write to; the superuser may write for the owner."""
    if stat.S_ISREG(found.st_mode) and found.st_nlink != 1:
        raise LogWriteError("the log has a second name (hard link)", where=str(path))
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise LogWriteError("not a plain file", where=str(path))
    if os.geteuid() not in (0, found.st_uid):
        raise LogWriteError(f"belongs to user id {found.st_uid}, not to this account", where=str(path))
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LogWriteError("others may write to it", where=str(path), next_command=f"chmod go-rwx {path}")


def _write_error(directory: Path, error: OSError) -> LogWriteError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    look = f"df -h {directory}" if full else f"ls -ld {directory}"
    return LogWriteError(
        f"the log can't be written: {error.strerror or error}", where=str(directory), next_command=look
    )
