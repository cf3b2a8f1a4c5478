"""Multicast: datagrams that each say what they carry, so that none is taken for another's and none depends on the last.

A stream sends the cells of one image, one after the other, in the order of its lists; who comes late takes up what it
hears from then on. Every datagram begins with the stream's tag, 16 bytes of SHA-256 over the image's id and the name of
the stream, and what kind it is (1 byte). Numbers are big-endian.

    DATA      place in the stream (4), length of the frame (4), offset in it (4), unit (2), SHA-256 of the cell (32),
              the part of the frame
    ANNOUNCE  next place (4), cells in the image (4), last word (1), image id (32), receivers that were dropped (8 each)
    STATUS    receiver (8), first place it heard (4), first place it lacks (4), parts it had to ask for (4), leaves (1),
              then what it lacks: place (4), first part (2), how many parts (2)

DATA and ANNOUNCE go to the group, STATUS back to where they come from. What is received is held to the cell's digest by
whoever writes it: a forged datagram costs one cell, which is then fetched again.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab_tool.imaging.format.cells import LONGEST_FRAME
from lab_tool.imaging.format.fields import DIGEST, Fields, FormatError

DATA, ANNOUNCE, STATUS = b"D", b"A", b"S"
STREAM = re.compile(r"[0-9a-f]{16}")
GROUP = re.compile(r"239(?:\.[0-9]{1,3}){3}")
# A run of this many parts: all of the frame, whose length the receiver does not know.
WHOLE = 0xFFFF
_TAG = 16
_DATA = struct.Struct(">16scLLLH32s")
_ANNOUNCE = struct.Struct(">16scLL?32s")
_STATUS = struct.Struct(">16sc8sLLL?")
_GAP = struct.Struct(">LHH")
DATA_HEAD = _DATA.size
_MOST_GAPS = 140
_MOST_DROPPED = 140


@dataclass(frozen=True, slots=True)
class Join:
    """Where a stream is to be heard, and which image it must carry. `stream` is its name, no secret."""

    stream: str
    group: str
    port: int
    image: str

    @property
    def tag(self) -> bytes:
        """How each of its datagrams begins."""
        return hashlib.sha256(f"LABCAST1 {self.image} {self.stream}".encode("ascii")).digest()[:_TAG]

    def answer(self) -> dict[str, str | int]:
        """As `/api/next` says it, beside `do`."""
        return {"stream": self.stream, "group": self.group, "port": self.port, "image": self.image}

    @classmethod
    def of(cls, answer: Mapping[str, object]) -> Join:
        """The stream that an answer of `/api/next` invites to. Raises `FormatError`."""
        fields = Fields(dict(answer), "the invitation to a stream")
        fields.choice("do", ("join",))
        join = cls(
            stream=fields.text("stream", STREAM),
            group=fields.text("group", GROUP),
            port=fields.number("port", 65535),
            image=fields.text("image", DIGEST),
        )
        fields.end()
        return join


@dataclass(frozen=True, slots=True)
class Data:
    """A part of the frame of one cell. `unit` is the length of all parts but the last."""

    place: int
    length: int
    offset: int
    unit: int
    digest: bytes
    part: bytes


@dataclass(frozen=True, slots=True)
class Announce:
    """How far the stream is. With `last` nothing more comes."""

    place: int
    cells: int
    last: bool
    image: bytes
    dropped: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """What one receiver has and lacks. `gaps` are (place, first part, how many)."""

    receiver: bytes
    joined: int
    base: int
    asked: int
    leaves: bool = False
    gaps: Sequence[tuple[int, int, int]] = ()


def data(tag: bytes, place: int, digest: bytes, frame: bytes, unit: int, parts: Sequence[int]) -> list[bytes]:
    """The datagrams of those parts of a frame."""
    length = len(frame)
    found = []
    for part in parts:
        offset = part * unit
        found.append(_DATA.pack(tag, DATA, place, length, offset, unit, digest) + frame[offset : offset + unit])
    return found


def announce(tag: bytes, news: Announce) -> bytes:
    """Its datagram."""
    head = _ANNOUNCE.pack(tag, ANNOUNCE, news.place, news.cells, news.last, news.image)
    return head + b"".join(news.dropped[-_MOST_DROPPED:])


def status(tag: bytes, news: Status) -> bytes:
    """Its datagram; gaps beyond what fits are said another time."""
    head = _STATUS.pack(tag, STATUS, news.receiver, news.joined, news.base, news.asked, news.leaves)
    return head + b"".join(_GAP.pack(*gap) for gap in news.gaps[:_MOST_GAPS])


def parse_data(datagram: memoryview) -> Data:
    """A part. Raises `FormatError` for one that fits no frame."""
    if len(datagram) <= DATA_HEAD:
        raise FormatError("a datagram without content")
    _, _, place, length, offset, unit, digest = _DATA.unpack_from(datagram)
    size = len(datagram) - DATA_HEAD
    if unit == 0 or not offset < length <= LONGEST_FRAME or offset % unit or size != min(unit, length - offset):
        raise FormatError("a datagram that fits no frame")
    return Data(place, length, offset, unit, digest, bytes(datagram[DATA_HEAD:]))


def parse_announce(datagram: bytes) -> Announce:
    """What a sender says of its stream. Raises `FormatError`."""
    if len(datagram) < _ANNOUNCE.size:
        raise FormatError("an announcement that was cut off")
    _, _, place, cells, last, image = _ANNOUNCE.unpack_from(datagram)
    rest = datagram[_ANNOUNCE.size :]
    return Announce(place, cells, last, image, tuple(rest[at : at + 8] for at in range(0, len(rest) - 7, 8)))


def parse_status(datagram: bytes) -> Status:
    """What a receiver says of itself. Raises `FormatError`."""
    rest = datagram[_STATUS.size :]
    if len(datagram) < _STATUS.size or len(rest) % _GAP.size:
        raise FormatError("a status that was cut off")
    _, _, receiver, joined, base, asked, leaves = _STATUS.unpack_from(datagram)
    if base < joined:
        raise FormatError("a status that goes backwards")
    return Status(receiver, joined, base, asked, leaves, tuple(_GAP.iter_unpack(rest)))


def kind(datagram: bytes | memoryview, tag: bytes) -> bytes:
    """DATA, ANNOUNCE or STATUS of the stream with that tag; empty for anything else."""
    return bytes(datagram[_TAG : _TAG + 1]) if datagram[:_TAG] == tag else b""


def foreign(datagram: bytes | memoryview) -> str:
    """The id of the image that another stream's announcement names; empty when this is none."""
    if len(datagram) < _ANNOUNCE.size or datagram[_TAG : _TAG + 1] != ANNOUNCE:
        return ""
    return parse_announce(bytes(datagram)).image.hex()
