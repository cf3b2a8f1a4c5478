"""Reading the end of the log without reading the log."""

from __future__ import annotations

import os

from lab_tool.errors import VerificationError
from lab_tool.log.entry import LONGEST_LINE

BLOCK = 64 * 1024


def last_line(file: int, size: int) -> bytes | None:
    """The last whole line of the first `size` bytes, without line end; None where there is none.

    `size` must be just behind a line end, or 0. Raises `VerificationError` for a line no writer makes.
    """
    if size == 0:
        return None
    start = _after_newline(file, size - 1)
    if size - start > LONGEST_LINE:
        raise VerificationError(f"the last line is {size - start} bytes long", next_command="lab log verify")
    return os.pread(file, size - 1 - start, start)


def torn_from(file: int, size: int) -> int | None:
    """Where the end begins that a crash tore off while it was written; None when the log ends in a whole line.

    Bytes after the last line end are torn; so is a last line with zero bytes in it, which a file system may leave
    in place of data that had not reached the disk. No entry has zero bytes.
    """
    end = _after_newline(file, size)
    whole = end
    while end > 0:
        start = _after_newline(file, end - 1)
        if not _holds_zero(file, start, end):
            break
        end = start
    return end if end < size or whole < size else None


def _after_newline(file: int, end: int) -> int:
    """Just behind the last line end before `end`, or 0."""
    while end > 0:
        start = max(0, end - BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _holds_zero(file: int, start: int, end: int) -> bool:
    while start < end:
        block = os.pread(file, min(BLOCK, end - start), start)
        if not block:
            return False
        if b"\0" in block:
            return True
        start += len(block)
    return False
