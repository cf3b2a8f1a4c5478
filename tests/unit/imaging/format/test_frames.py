"""Streams: a receiver takes the one of its image, whole, and no other."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.frames import LONGEST_FRAME, end, frame, head, read_frames

IMAGE, OTHER = "a" * 64, "b" * 64
# The digest of zeros alone is how a stream ends.
cells = st.lists(st.tuples(st.binary(min_size=32, max_size=32).filter(any), st.binary(max_size=50)), max_size=6)


def stream(parts: list[tuple[bytes, bytes]], image: str = IMAGE) -> bytes:
    """A whole stream."""
    return head(image) + b"".join(frame(digest, data) for digest, data in parts) + end()


class Trickle(io.RawIOBase):
    """What comes out of a pipe: a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int = -1) -> bytes:
        """At most three bytes."""
        part, self._rest = self._rest[: min(size, 3)], self._rest[min(size, 3) :]
        return part


@given(cells)
def test_frames_come_as_they_were_sent(parts: list[tuple[bytes, bytes]]) -> None:
    pipe: Any = Trickle(stream(parts) + b"what follows is nobody's")
    assert list(read_frames(pipe, IMAGE)) == parts


@given(cells, st.data())
def test_a_stream_that_was_cut_off_is_no_whole_one(parts: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = stream(parts)
    cut = data.draw(st.integers(0, len(whole) - 1))
    got: list[tuple[bytes, bytes]] = []
    with pytest.raises(FormatError):
        got.extend(read_frames(io.BytesIO(whole[:cut]), IMAGE))
    # What came before the cut is as it was sent.
    assert got == parts[: len(got)]


@given(cells)
def test_another_image_s_stream_is_refused_before_its_first_frame(parts: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(FormatError, match="of the image bbbbbbbbbbbb, and not of aaaaaaaaaaaa"):
        next(read_frames(io.BytesIO(stream(parts, OTHER)), IMAGE))


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda rest: head(IMAGE) + rest))
def test_any_bytes_end_in_a_refusal_or_in_the_end_of_a_stream(data: bytes) -> None:
    try:
        list(read_frames(io.BytesIO(data), IMAGE))
    except FormatError:
        return
    assert end() in data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        head(IMAGE)[:-1],
        head(IMAGE)[:-1] + b" " + end(),
        head(IMAGE.upper()) + end(),
        head("../" + "a" * 61) + end(),
        b"LABFRAME2 " + IMAGE.encode() + b"\n" + end(),
        head(IMAGE) + b"x" * 32 + (LONGEST_FRAME + 1).to_bytes(4, "big"),
        head(IMAGE) + bytes(32) + (5).to_bytes(4, "big") + b"12345",
    ],
)
def test_what_is_no_stream(data: bytes) -> None:
    with pytest.raises(FormatError):
        list(read_frames(io.BytesIO(data), IMAGE))
