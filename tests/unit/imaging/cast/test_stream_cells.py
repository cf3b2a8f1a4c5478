"""Cells are put together from parts in any order; what is lacking is asked for; nobody fills the memory."""

from __future__ import annotations

import random

from lab_tool.imaging.deploy.stream_cells import Hearing
from lab_tool.imaging.format.datagrams import WHOLE, Announce, Data, Join, data, parse_data

JOIN = Join("0123456789abcdef", "239.255.70.1", 9100, "a" * 64)
ME = b"receiver"
UNIT = 100


def _cell(place: int, length: int = 950) -> tuple[bytes, bytes]:
    return place.to_bytes(32, "big"), random.Random(place).randbytes(length)


def _parts(place: int, length: int = 950) -> list[Data]:
    digest, frame = _cell(place, length)
    found = data(JOIN.tag, place, digest, frame, UNIT, range(-(-length // UNIT)))
    return [parse_data(memoryview(datagram)) for datagram in found]


def _announce(place: int, cells: int = 5, last: bool = False, dropped: tuple[bytes, ...] = ()) -> Announce:
    return Announce(place, cells, last, bytes.fromhex(JOIN.image), dropped)


def test_parts_in_any_order_and_twice_make_the_cells() -> None:
    hearing, draw = Hearing(ME), random.Random(3)
    hearing.announce(_announce(0))
    parts = [part for place in range(5) for part in _parts(place)] * 2
    draw.shuffle(parts)
    cells = [cell for part in parts if (cell := hearing.data(part))]
    assert sorted(cells) == sorted(_cell(place) for place in range(5))
    assert hearing.complete


def test_what_was_passed_over_is_asked_for_and_not_at_every_turn() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(0))
    for part in [*_parts(0)[:2], *_parts(0)[5:], *_parts(2)]:
        hearing.data(part)
    said = hearing.status(10.0)
    assert (said.joined, said.base, said.gaps) == (0, 0, [(0, 2, 3), (1, 0, WHOLE)])
    assert hearing.status(10.05).gaps == []
    assert hearing.status(10.2).gaps == said.gaps
    assert hearing.status(10.2).asked == said.asked, "asking again is no further loss"
    for part in _parts(0):
        hearing.data(part)
    assert hearing.status(11.0).base == 1


def test_the_cell_that_is_coming_in_is_not_asked_for_until_the_sender_is_beyond_it() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(0))
    for part in _parts(0)[:4]:
        hearing.data(part)
    assert hearing.status(10.0).gaps == []
    hearing.announce(_announce(1))
    assert hearing.status(10.0).gaps == [(0, 4, 6)]


def test_who_comes_late_counts_from_there_and_is_complete_after_one_round() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(3))
    for place in range(3, 8):
        assert not hearing.complete
        for part in _parts(place):
            hearing.data(part)
    assert (hearing.status(1.0).joined, hearing.status(1.0).base) == (3, 8)
    assert hearing.complete


def test_the_first_word_may_be_a_part() -> None:
    hearing = Hearing(ME)
    hearing.data(_parts(4)[7])
    hearing.announce(_announce(5))
    assert hearing.status(1.0).gaps == [(4, 0, 7), (4, 8, 2)]


def test_a_part_that_contradicts_the_others_is_passed_over() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(0))
    first, *rest = _parts(0)
    hearing.data(first)
    forged = _parts(0, 850)
    assert [hearing.data(part) for part in forged] == [None] * len(forged)
    cells = [cell for part in rest if (cell := hearing.data(part))]
    assert cells == [_cell(0)]


def test_memory_is_bounded_whatever_is_sent() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(0, cells=1 << 30))
    length = 2 * 1024 * 1024
    for place in range(1000):
        hearing.data(Data(place, length, 0, 1000, bytes(32), bytes(1000)))
    assert len(hearing.status(0.0).gaps) <= 140
    assert hearing._size <= 64 * 1024 * 1024
    # A place from beyond all reason is not believed.
    hearing.data(Data(1 << 31, length, 0, 1000, bytes(32), bytes(1000)))
    hearing.announce(_announce(1 << 31))
    assert hearing._top <= 1000


def test_it_knows_that_it_is_over_or_that_it_was_dropped() -> None:
    hearing = Hearing(ME)
    hearing.announce(_announce(0, dropped=(b"somebody",)))
    assert not hearing.ended and not hearing.dropped
    hearing.announce(_announce(2, dropped=(b"somebody", ME)))
    assert hearing.dropped
    hearing.announce(_announce(2, last=True))
    assert hearing.ended and not hearing.complete
