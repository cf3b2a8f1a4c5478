"""A disk, read and written past the page cache: what was read came from the disk, and not from memory."""

from __future__ import annotations

import mmap
import os
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from lab_tool.imaging.deploy.trouble import DiskError

# One read or write; more brings no more speed.
LONGEST = 4 * 1024 * 1024
_ADVICE = "Check the cable of this disk and try once more; if it is the same again, replace the disk"


class Disk:
    """An open disk, or a file that stands for one. Any number of threads may read and write at once."""

    def __init__(self, path: Path, *, write: bool = True) -> None:
        try:
            # Who has it mounted, or in use otherwise, keeps it: nothing is written below a running system.
            os.close(os.open(path, os.O_RDONLY | (os.O_EXCL if path.is_block_device() else 0)))
            self._fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT)
        except OSError as error:
            raise DiskError(f"can't be opened: {error.strerror}", where=str(path), advice=_ADVICE) from error
        self.path = path
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self.sector = _sector(path)
        self.written = 0
        self._buffers = threading.local()
        self._count = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read(self, offset: int, length: int) -> memoryview:
        """At most `LONGEST` bytes, whole sectors; valid until this thread reads or writes again. Raises `DiskError`."""
        view = self._buffer()[:length]
        done = 0
        while done < length:
            try:
                got = os.preadv(self._fd, [view[done:]], offset + done)
            except OSError as error:
                raise self._trouble("reading fails", offset + done, error) from error
            if got <= 0:
                raise self._trouble("ends before its end", offset + done)
            done += got
        return view

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write whole sectors. Raises `DiskError`."""
        buffer = self._buffer()
        for start in range(0, len(data), LONGEST):
            part = memoryview(data)[start : start + LONGEST]
            view = buffer[: len(part)]
            view[:] = part
            done = 0
            while done < len(view):
                try:
                    done += os.pwritev(self._fd, [view[done:]], offset + start + done)
                except OSError as error:
                    raise self._trouble("writing fails", offset + start + done, error) from error
        with self._count:
            self.written += len(data)

    def zero(self, offset: int, length: int) -> None:
        """Write zeros there."""
        for start in range(0, length, LONGEST):
            self.write(offset + start, bytes(min(LONGEST, length - start)))

    def flush(self) -> None:
        """Have everything on the disk, and not in its own memory. Raises `DiskError`."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._trouble("does not store what was written", 0, error) from error

    def place(self, offset: int) -> str:
        """A place on the disk, for a message."""
        return f"{self.path} byte {offset} (sector {offset // self.sector})"

    def _trouble(self, what: str, offset: int, error: OSError | None = None) -> DiskError:
        why = f": {error.strerror}" if error else ""
        return DiskError(f"the disk is failing, {what}{why}", where=self.place(offset), advice=_ADVICE)

    def _buffer(self) -> memoryview:
        # O_DIRECT asks for memory at the start of a page, which a mapping is.
        if not hasattr(self._buffers, "view"):
            self._buffers.view = memoryview(mmap.mmap(-1, LONGEST))
        view: memoryview = self._buffers.view
        return view


def _sector(path: Path) -> int:
    status = path.stat()
    if stat.S_ISBLK(status.st_mode):
        queue = Path(f"/sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}/queue/logical_block_size")
        if queue.exists():
            return int(queue.read_text("ascii"))
    return 512
