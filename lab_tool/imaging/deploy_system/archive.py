"""An archive that the kernel unpacks into memory (cpio, "newc"), the same bytes for the same content."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import zstandard

# Measured on 109 MB: 12 makes 29.6 MB in 5 s, 19 would make 26.6 MB in 77 s, 3 makes 33.6 MB; all unpack as quickly.
_LEVEL = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a link: its type and mode, and its bytes (a link's are where it leads)."""

    mode: int
    data: bytes


def file(data: bytes, *, executable: bool = False) -> Entry:
    """A file that anybody may read."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def packed(entries: Mapping[str, Entry]) -> bytes:
    """The compressed archive of `entries`, by path without a leading slash; folders come by themselves."""
    # Jobs of a fixed size: how many threads there are does not show in what comes out.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=2)
    return compressor.compress(b"".join(_newc(entries)))


def _newc(entries: Mapping[str, Entry]) -> Iterator[bytes]:
    folders = {str(parent) for path in entries for parent in PurePosixPath(path).parents} - {"."}
    every = {**{folder: Entry(stat.S_IFDIR | 0o755, b"") for folder in folders}, **entries}
    # A folder sorts before what is in it.
    for number, path in enumerate(sorted(every), 1):
        yield from _one(number, path, every[path])
    yield from _one(0, "TRAILER!!!", Entry(0, b""))


def _one(number: int, path: str, entry: Entry) -> Iterator[bytes]:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    yield header + name + _padding(len(header) + len(name))
    yield entry.data + _padding(len(entry.data))


def _padding(length: int) -> bytes:
    return bytes(-length % 4)
