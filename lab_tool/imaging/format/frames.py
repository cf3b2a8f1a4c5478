"""A stream that says of every part what it is, so that nobody takes one image's blocks for another's.

LABFRAME1 <image id: 64 hexadecimal digits>\\n            once, at the start
<SHA-256 of a cell: 32 bytes> <length: 4, big-endian> <frame of that many bytes>      for each cell
<32 zero bytes> <0: 4 bytes>                              at the end
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from lab_tool.imaging.format.fields import DIGEST, FormatError

_MAGIC = b"LABFRAME1 "
_HEAD = struct.Struct(">32sL")
_NOTHING = bytes(32)
# A compressed cell is never much larger than the cell.
LONGEST_FRAME = 2 * 1024 * 1024


def head(image: str) -> bytes:
    """How a stream of that image begins."""
    return _MAGIC + image.encode("ascii") + b"\n"


def frame(digest: bytes, data: bytes) -> bytes:
    """One cell in the stream."""
    return _HEAD.pack(digest, len(data)) + data


def end() -> bytes:
    """How a stream ends; one that stops without it was cut off."""
    return _HEAD.pack(_NOTHING, 0)


def read_frames(stream: IO[bytes], image: str) -> Iterator[tuple[bytes, bytes]]:
    """Digest and frame of each cell. Raises `FormatError` for another image's stream, and for one that was cut off."""
    first = _exactly(stream, len(_MAGIC) + 65)
    named = first[len(_MAGIC) : -1].decode("ascii", "replace")
    if first[: len(_MAGIC)] != _MAGIC or first[-1:] != b"\n" or not DIGEST.fullmatch(named):
        raise FormatError("this is no stream of an image")
    if named != image:
        raise FormatError(f"a stream of the image {named[:12]}, and not of {image[:12]}")
    while True:
        digest, length = _HEAD.unpack(_exactly(stream, _HEAD.size))
        if digest == _NOTHING and length == 0:
            return
        if length > LONGEST_FRAME:
            raise FormatError(f"a frame of {length} bytes in the stream")
        yield digest, _exactly(stream, length)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            raise FormatError("the stream was cut off")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
