"""One pass over the log: chain, numbers, form, times and the roots that checkpoints speak of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_tool.log.verify.line import LONGEST_LINE, NO_PREV, LineError, leaf, read
from lab_tool.log.verify.report import Progress
from lab_tool.log.verify.roots import Roots

# Entries between two flushes of the tree, and between two reports of progress.
BATCH = 4096
TOLD = frozenset({"checkpoint.published", "log.torn"})


@dataclass(slots=True)
class Scan:
    """What the pass saw. `size` is the number of entries up to the first that does not fit, or all; `problem` says
    what is wrong with the line after them, empty when it is the chain, None when nothing is. `roots` and `times` (of
    the last entry) are by size. `torn` is how many bytes at the end are no entry.
    """

    size: int = 0
    problem: str | None = None
    roots: dict[int, bytes] = field(default_factory=dict)
    times: dict[int, str] = field(default_factory=dict)
    newest: str = ""
    root: bytes = b""
    backwards: list[int] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    torn: int = 0


def scan(entries: Path, sizes: Iterable[int], progress: Progress) -> Scan:
    """Read the log once; `sizes` are those whose roots are wanted. An absent log is empty."""
    seen = Scan()
    end, size = whole_bytes(entries)
    wanted = sorted(set(sizes), reverse=True)
    roots = Roots()
    leaves: list[bytes] = []
    prev = NO_PREV
    count = done = 0
    newest = ""

    def flush() -> int:
        """Bring the tree up to date, and say when to come again."""
        roots.take(leaves)
        leaves.clear()
        while wanted and wanted[-1] <= count:
            size = wanted.pop()
            if size == count:
                seen.roots[size], seen.times[size] = roots.root, newest
        progress(done, end)
        return min([count + BATCH, *wanted[-1:]])

    stop = flush()
    for line in lines(entries, end):
        try:
            fields = read(line)
        except LineError as error:
            seen.problem = error.why
            break
        if fields["seq"] != count or fields["prev"] != prev:
            seen.problem = ""
            break
        digest = leaf(line)
        leaves.append(digest)
        prev = digest.hex()
        time = fields["time"]
        if time < newest:
            seen.backwards.append(count)
        newest = time
        if fields["kind"] in TOLD:
            seen.told.append(fields)
        count += 1
        done += len(line)
        if count == stop:
            stop = flush()
    flush()
    seen.size, seen.newest, seen.root = count, newest, roots.root
    seen.torn = size - end
    return seen


def lines(entries: Path, end: int) -> Iterator[bytes]:
    """The lines of the first `end` bytes; of one that is too long a part, which is no entry."""
    if end == 0:
        return
    with entries.open("rb", buffering=1024 * 1024) as file:
        readline = file.readline
        while end > 0 and (line := readline(LONGEST_LINE + 1)):
            end -= len(line)
            yield line


def whole_bytes(entries: Path) -> tuple[int, int]:
    """Where the last whole line ends, and the size. In between, and in last lines with zero bytes, a crash tore an
    entry off. What is no file is empty.
    """
    if not entries.is_file():
        return 0, 0
    with entries.open("rb") as file:
        size = end = _settled(entries.parent / "lock", file.fileno())
        while end:
            start = _line_start(file.fileno(), end)
            file.seek(start)
            line = file.read(min(end - start, LONGEST_LINE))
            if line.endswith(b"\n") and b"\0" not in line:
                break
            end = start
    return end, size


def _settled(lock_file: Path, entries: int) -> int:
    """The size while no writer is at work; a copy without a lock file has none."""
    try:
        lock = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return os.fstat(entries).st_size
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return os.fstat(entries).st_size
    finally:
        os.close(lock)


def _line_start(entries: int, end: int) -> int:
    """Where the line begins whose last byte is before `end`."""
    at = end - 1
    while at > 0:
        start = max(0, at - 65_536)
        found = os.pread(entries, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0
