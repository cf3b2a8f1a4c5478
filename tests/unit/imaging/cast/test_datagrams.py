"""What datagrams say, and what is none."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from lab_tool.imaging.format import datagrams
from lab_tool.imaging.format.datagrams import Announce, Join, Status
from lab_tool.imaging.format.fields import FormatError

JOIN = Join("0123456789abcdef", "239.255.70.1", 9100, "a" * 64)


def test_an_invitation_survives_the_way() -> None:
    assert Join.of({"do": "join", **JOIN.answer()}) == JOIN


@pytest.mark.parametrize(
    "wrong",
    [{"do": "fetch"}, {"group": "10.0.0.1"}, {"port": 70_000}, {"image": "b"}, {"stream": "../x"}, {"more": 1}],
)
def test_an_invitation_that_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        Join.of({"do": "join", **JOIN.answer(), **wrong})


def test_a_frame_is_cut_and_each_part_says_what_it_is() -> None:
    frame, digest = bytes(range(256)) * 10, b"d" * 32
    found = datagrams.data(JOIN.tag, 7, digest, frame, 1000, range(3))
    assert {datagrams.kind(one, JOIN.tag) for one in found} == {datagrams.DATA}
    parts = [datagrams.parse_data(memoryview(one)) for one in found]
    assert [(part.place, part.offset, part.length, part.digest) for part in parts] == [
        (7, 0, 2560, digest),
        (7, 1000, 2560, digest),
        (7, 2000, 2560, digest),
    ]
    assert b"".join(part.part for part in parts) == frame


@pytest.mark.parametrize(
    "other", [dataclasses.replace(JOIN, image="b" * 64), dataclasses.replace(JOIN, stream="f" * 16)]
)
def test_what_another_stream_or_image_sends_is_of_no_kind(other: Join) -> None:
    tag = other.tag
    for datagram in (
        datagrams.data(tag, 0, b"d" * 32, b"frame", 1000, [0])[0],
        datagrams.announce(tag, Announce(0, 1, False, bytes(32))),
        datagrams.status(tag, Status(b"receiver", 0, 0, 0)),
    ):
        assert datagrams.kind(datagram, JOIN.tag) == b""


def test_another_streams_announcement_says_which_image_it_is() -> None:
    image = "c" * 64
    other = dataclasses.replace(JOIN, image=image)
    news = datagrams.announce(other.tag, Announce(5, 9, False, bytes.fromhex(image), (b"receiver",)))
    assert datagrams.foreign(news) == image
    assert (
        datagrams.foreign(b"anything else, of any length, that somebody sends to this group for whatever reason") == ""
    )


def test_announcements_and_statuses_survive_the_way() -> None:
    news = Announce(5, 9, True, bytes(range(32)), (b"receivrA", b"receivrB"))
    assert datagrams.parse_announce(datagrams.announce(JOIN.tag, news)) == news
    said = Status(b"receivrA", 3, 5, 17, False, ((5, 0, 3), (6, 0, datagrams.WHOLE)))
    assert datagrams.parse_status(datagrams.status(JOIN.tag, said)) == said


def test_more_gaps_than_fit_are_said_another_time() -> None:
    said = Status(b"receivrA", 0, 0, 0, False, tuple((place, 0, 1) for place in range(1000)))
    datagram = datagrams.status(JOIN.tag, said)
    assert len(datagram) <= 1472
    assert len(datagrams.parse_status(datagram).gaps) > 100


@pytest.mark.parametrize("length", [0, 1, 16, 17, 30, 62, 63])
def test_datagrams_that_were_cut_off(length: int) -> None:
    whole = datagrams.data(JOIN.tag, 1, b"d" * 32, b"frame", 1000, [0])[0]
    with pytest.raises(FormatError):
        datagrams.parse_data(memoryview(whole[:length]))
    with pytest.raises(FormatError):
        datagrams.parse_status(datagrams.status(JOIN.tag, Status(b"receivrA", 0, 0, 0))[: min(length, 37)])


@pytest.mark.parametrize(
    ("place", "length", "offset", "unit", "size"),
    [
        (0, 100, 0, 0, 100),
        (0, 100, 100, 50, 10),
        (0, 100, 25, 50, 50),
        (0, 100, 0, 50, 49),
        (0, 100, 50, 50, 51),
        (0, 1 << 30, 0, 1000, 1000),
    ],
)
def test_parts_that_fit_no_frame(place: int, length: int, offset: int, unit: int, size: int) -> None:
    head = struct.pack(">16scLLLH32s", JOIN.tag, b"D", place, length, offset, unit, b"d" * 32)
    with pytest.raises(FormatError):
        datagrams.parse_data(memoryview(head + bytes(size)))
