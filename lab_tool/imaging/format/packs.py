"""Packs: the cells' contents, compressed one by one, in files that are only ever added to the store.

`<id>.pack` is zstd frames, one a cell. `<id>.idx` says where: `LABPACK1\\n`, then for each cell SHA-256 of its content
(32 bytes), offset (8, big-endian) and length (4) of its frame. The id is the SHA-256 of the pack's bytes. An index need
not be trusted: what it leads to is held to the cell's digest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import zstandard

from lab_tool.imaging.format.fields import FormatError

_MAGIC = b"LABPACK1\n"
_RECORD = struct.Struct(">32sQL")
LEVEL = 7


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies in its pack, in bytes."""

    offset: int
    length: int


def compress(content: bytes, level: int = LEVEL) -> bytes:
    """One frame that holds its size."""
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(content)


def expand(frame: bytes, digest: bytes, size: int) -> bytes:
    """The cell in a frame, of exactly `size` bytes. Raises `FormatError` unless its SHA-256 is `digest`."""
    try:
        # Beforehand: as much memory is taken as a frame says, whoever wrote it.
        if zstandard.frame_content_size(frame) != size:
            raise FormatError("a damaged cell: it says that it has another size")
        content = zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise FormatError("a damaged cell: it can't be expanded") from error
    if len(content) != size or hashlib.sha256(content).digest() != digest:
        raise FormatError("a damaged cell: its content is not the one that was signed")
    return content


class PackWriter:
    """Writes a pack to an open file. A cell that is added twice is written once."""

    def __init__(self, out: IO[bytes], level: int = LEVEL) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self._places: dict[bytes, Place] = {}
        self._end = 0
        self._compressor = zstandard.ZstdCompressor(level=level, write_content_size=True)

    def add(self, digest: bytes, content: bytes) -> None:
        """Add a cell by the SHA-256 of its content."""
        if digest not in self._places:
            self.add_frame(digest, self._compressor.compress(content))

    def add_frame(self, digest: bytes, frame: bytes) -> None:
        """Add a cell that is compressed already."""
        if digest in self._places:
            return
        self._out.write(frame)
        self._hash.update(frame)
        self._places[digest] = Place(self._end, len(frame))
        self._end += len(frame)

    @property
    def places(self) -> Mapping[bytes, Place]:
        """Where each cell lies, in the order in which they were added."""
        return self._places

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._end

    @property
    def id(self) -> str:
        """SHA-256 of what was written, in hexadecimal."""
        return self._hash.hexdigest()


def dump_index(places: Mapping[bytes, Place]) -> bytes:
    """The bytes of a pack's index."""
    return _MAGIC + b"".join(_RECORD.pack(digest, at.offset, at.length) for digest, at in places.items())


def parse_index(data: bytes) -> dict[bytes, Place]:
    """Cell digest to place. Raises `FormatError`."""
    body = data.removeprefix(_MAGIC)
    if len(body) == len(data) or len(body) % _RECORD.size:
        raise FormatError("this is no index of a pack")
    return {digest: Place(offset, length) for digest, offset, length in _RECORD.iter_unpack(body)}
