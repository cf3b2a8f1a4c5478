"""What goes out next, what again, and who is waited for no longer."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab_tool.imaging.format.datagrams import WHOLE, Status
from lab_tool.imaging.server.cast_audience import Audience, Limits

A, B, C = b"receivrA", b"receivrB", b"receivrC"
CELL = 1000
LIMITS = Limits(window=4 * CELL, patience=10, share=0.25, start=10, linger=2)


@dataclass
class _Stream:
    """An audience, the clock in hand; every cell has ten parts."""

    cells: int = 100
    expected: int = 2
    now: float = 100.0
    audience: Audience = field(init=False)

    def __post_init__(self) -> None:
        self.audience = Audience(self.cells, self.expected, LIMITS, self.now)

    def hear(self, name: bytes, base: int, joined: int = 0, gaps: tuple[tuple[int, int, int], ...] = ()) -> None:
        self.audience.hear(Status(name, joined, base, 0, False, gaps), self.now)

    def leave(self, name: bytes) -> None:
        self.audience.hear(Status(name, 0, self.audience.top, 0, leaves=True), self.now)

    def send(self) -> list[int]:
        """All that may go out now."""
        sent = []
        while (place := self.audience.next(self.now)) is not None:
            self.audience.sent(place, CELL, 10)
            sent.append(place)
        return sent

    def later(self, seconds: float, *alive: bytes, step: float = 0.5) -> str:
        """Let time pass; the receivers named say that they are where they should be."""
        end = self.now + seconds
        ended = ""
        while self.now < end and not ended:
            self.now += step
            for name in alive:
                self.hear(name, self.audience.top)
            self.send()
            ended = self.audience.tick(self.now)
        return ended


def _begun(cells: int = 100, *names: bytes) -> _Stream:
    stream = _Stream(cells, len(names or (A, B)))
    for name in names or (A, B):
        stream.hear(name, 0)
    return stream


def test_it_begins_when_all_hear_it_or_after_a_while() -> None:
    stream = _Stream(expected=2)
    assert stream.send() == []
    stream.hear(A, 0)
    assert stream.send() == []
    stream.hear(B, 0)
    assert stream.send() == [0, 1, 2, 3]
    alone = _Stream(expected=2)
    alone.hear(A, 0)
    alone.now += 10.5
    assert alone.send() == [0, 1, 2, 3]


def test_with_nobody_there_it_ends() -> None:
    stream = _Stream()
    assert stream.later(19) == ""
    assert stream.later(3) == "nobody came"


def test_nothing_goes_out_beyond_the_window_of_the_slowest() -> None:
    stream = _begun()
    assert stream.send() == [0, 1, 2, 3]
    stream.hear(A, 4)
    assert stream.send() == []
    stream.hear(B, 1)
    assert stream.send() == [4]


def test_what_several_lack_goes_out_once_more_and_once_only() -> None:
    stream = _begun()
    stream.send()
    stream.hear(A, 1, gaps=((1, 2, 3), (2, 0, WHOLE)))
    stream.hear(B, 1, gaps=((1, 4, 2),))
    assert stream.audience.repair() == (1, [2, 3, 4, 5])
    stream.audience.again(1, [2, 3, 4, 5], stream.now)
    assert stream.audience.repair() == (2, list(range(10)))
    stream.audience.again(2, range(10), stream.now)
    stream.hear(B, 1, gaps=((1, 4, 2),))
    assert stream.audience.repair() is None, "it is on its way"
    stream.now += 0.1
    stream.hear(B, 1, gaps=((1, 4, 2),))
    assert stream.audience.repair() == (1, [4, 5])


def test_what_makes_no_sense_is_passed_over() -> None:
    stream = _begun()
    stream.send()
    stream.hear(C, 50)
    stream.hear(A, 0, gaps=((77, 0, WHOLE), (1, 200, 100), (2, 8, 60_000)))
    assert stream.audience.live == 2
    assert stream.audience.repair() == (2, [8, 9])
    assert stream.audience.repair() is None


def test_a_pc_that_falls_silent_is_dropped_and_the_others_go_on() -> None:
    stream = _begun(100, A, B)
    assert stream.send() == [0, 1, 2, 3]
    assert stream.later(4, A) == ""
    assert (stream.audience.live, stream.audience.top) == (2, 4)
    assert stream.later(1, A) == ""
    assert stream.audience.dropped == [B]
    stream.later(60, A)
    assert stream.audience.top == 100
    # What it says from now on keeps nobody waiting.
    stream.hear(B, 4)
    assert stream.audience.live == 1


def test_a_pc_that_lives_and_makes_no_progress_is_dropped() -> None:
    stream = _begun(100, A, B)
    stream.send()
    for _ in range(9):
        stream.later(1, A)
        stream.hear(B, 1)
    assert stream.audience.live == 2
    for _ in range(4):
        stream.later(1, A)
        stream.hear(B, 1)
    assert stream.audience.dropped == [B]


def test_a_pc_that_holds_up_the_room_is_dropped_though_it_makes_progress() -> None:
    stream = _begun(100_000, A, B, C)
    stream.send()
    base = 0
    ended = ""
    while not stream.audience.dropped and stream.now < 1000:
        base += 1
        stream.hear(B, base)
        ended = stream.later(1, A, C)
    assert (stream.audience.dropped, ended) == ([B], "")
    assert stream.now - 100 < 60


def test_a_room_that_is_slow_altogether_is_waited_for() -> None:
    stream = _begun(100_000, A, B, C)
    stream.send()
    for base in range(1, 120):
        for name in (A, B, C):
            stream.hear(name, base)
        stream.later(1)
    assert stream.audience.dropped == []


def test_one_that_asks_for_everything_again_and_again_is_dropped() -> None:
    stream = _begun(100_000, A, B)
    for _ in range(400):
        stream.send()
        gaps = tuple((place, 0, WHOLE) for place in range(max(0, stream.audience.top - 4), stream.audience.top))
        stream.hear(B, max(0, stream.audience.top - 1), gaps=gaps)
        while again := stream.audience.repair():
            stream.audience.again(*again, stream.now)
        stream.later(0.1, A, step=0.1)
    assert stream.audience.dropped == [B]


def test_it_is_over_when_all_have_it() -> None:
    stream = _begun(4)
    stream.send()
    stream.hear(A, 4)
    stream.hear(B, 3)
    assert stream.audience.tick(stream.now) == ""
    stream.leave(A)
    assert stream.audience.tick(stream.now) == ""
    stream.leave(B)
    assert stream.audience.tick(stream.now) == "all have it"
    assert stream.audience.left == 2


def test_at_the_end_what_is_lacking_is_waited_for_but_not_for_ever() -> None:
    stream = _begun(4)
    stream.send()
    ended = ""
    for base in (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3):
        # It comes on just enough not to be dropped.
        stream.hear(B, base)
        ended = ended or stream.later(3, A)
    assert ended == "all is sent, and some lack parts of it"


def test_with_all_gone_it_ends() -> None:
    stream = _begun()
    stream.send()
    stream.leave(A)
    stream.leave(B)
    assert stream.later(3) == "all have left"


def test_for_one_late_pc_it_ends_and_for_two_it_goes_round_once_more() -> None:
    one, two = _begun(20), _begun(20)
    for stream, late in ((one, (C,)), (two, (C, b"receivrD"))):
        while stream.audience.top < 10:
            stream.hear(A, stream.audience.top)
            stream.hear(B, stream.audience.top)
            stream.send()
        joined = stream.audience.top
        ended = ""
        while not ended and stream.now < 200:
            for name in late:
                stream.hear(name, stream.audience.top, joined)
            ended = stream.later(0.5, A, B)
            if stream.audience.top >= 20:
                stream.leave(A)
                stream.leave(B)
            if stream.audience.top >= joined + 20:
                for name in late:
                    stream.leave(name)
    assert one.audience.top == 20
    assert two.audience.top >= 20 + 10


def test_receivers_that_only_say_to_be_some_hold_up_a_stream_for_a_while() -> None:
    stream, ended = _begun(100, A), ""
    for number in range(1000):
        # Each a new one, which lacks everything and says so until it is dropped.
        stream.hear(b"evil%04d" % (number // 10), 0)
        ended = stream.later(1, A)
        if ended:
            break
    assert ended == "it got no further"


def test_receivers_that_come_late_again_and_again_do_not_keep_it_going() -> None:
    stream, ended = _begun(100, A), ""
    for number in range(1000):
        for name in (b"evilA%03d", b"evilB%03d"):
            stream.hear(name % number, stream.audience.top, joined=stream.audience.top)
        ended = stream.later(1, A, step=1)
        if ended:
            break
    assert ended and stream.audience.top <= 300 + 10
