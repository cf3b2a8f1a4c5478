"""Who hears a stream and how far each is: what to send next, what again, and whom to wait for no longer.

No socket and no clock in here; times are handed in, in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lab_tool.imaging.format.datagrams import Status

# A part that several receivers ask for within this time goes out once.
_AGAIN = 0.04
# A stream that has sent everything waits for repairs at most so many times the patience.
_FINISHING = 3
# A receiver speaks many times a second even while its disk is busy: silence is death, and known sooner.
_SILENT = 0.4
_MOST_RECEIVERS = 1024
# Anybody on the network can say to be a receiver, again and again: for those who come late a stream goes round this
# often, and one that got no further for so many times the patience is over.
_ROUNDS = 3
_STANDING = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """`window`: bytes that the slowest may be behind. `patience`: seconds without progress after which a receiver is
    dropped. `share`: the part of the stream's time for which a few receivers may hold up the others, beyond `patience`.
    `start` and `linger`: seconds to wait for the first receivers, and with none left.
    """

    window: int = 8 * 1024 * 1024
    patience: float = 10.0
    share: float = 0.25
    start: float = 10.0
    linger: float = 2.0


@dataclass(slots=True)
class _Receiver:
    joined: int
    base: int
    heard: float
    moved: float
    held_up: float = 0.0
    asked: int = 0
    wanted: int = 0


@dataclass(slots=True)
class _Sent:
    begin: int
    parts: int
    again: dict[int, float] = field(default_factory=dict)


class Audience:
    """The receivers of one stream of `cells` cells. Places go on counting when the stream goes round once more."""

    def __init__(self, cells: int, expected: int, limits: Limits, now: float) -> None:
        self.top = 0
        self.dropped: list[bytes] = []
        self._cells = cells
        self._expected = expected
        self._limits = limits
        self._live: dict[bytes, _Receiver] = {}
        self._left: set[bytes] = set()
        self._sent: dict[int, _Sent] = {}
        self._bytes = 0
        self._parts = 0
        self._repairs: dict[int, set[int]] = {}
        self._begun = self._last = self._alone = self._advanced = now
        self._reached = 0
        self._started: float | None = None
        self._finishing: float | None = None

    @property
    def live(self) -> int:
        """Receivers that are waited for."""
        return len(self._live)

    @property
    def left(self) -> int:
        """Receivers that have said good-bye."""
        return len(self._left)

    def hear(self, status: Status, now: float) -> None:
        """Take what a receiver says of itself."""
        name = status.receiver
        if name in self.dropped or name in self._left or status.base > self.top:
            return
        if status.leaves:
            self._live.pop(name, None)
            self._left.add(name)
            self._forget()
            return
        known = self._live.get(name)
        if known is None:
            if len(self._live) >= _MOST_RECEIVERS:
                return
            known = self._live[name] = _Receiver(status.joined, status.base, now, now)
        known.heard = now
        known.asked = status.asked
        if status.base > known.base:
            known.base, known.moved = status.base, now
            self._forget()
        for place, first, count in status.gaps:
            self._wanted(known, place, first, count, now)

    def sent(self, place: int, length: int, parts: int) -> None:
        """The next place went out, in so many parts."""
        self._sent[place] = _Sent(self._bytes, parts)
        self._bytes += length
        self._parts += parts
        self.top = place + 1

    def repair(self) -> tuple[int, Sequence[int]] | None:
        """A place and those of its parts that are to go out once more; say `again` when they do."""
        while self._repairs:
            place = min(self._repairs)
            wanted = self._repairs.pop(place)
            if wanted and place in self._sent:
                return place, sorted(wanted)
        return None

    def again(self, place: int, parts: Sequence[int], now: float) -> None:
        """Those parts went out once more."""
        self._sent[place].again.update(dict.fromkeys(parts, now))

    def next(self, now: float) -> int | None:
        """The next place, when it may go out now."""
        if not self._ready(now) or not self._live or self._complete() or self._holders():
            return None
        return self.top

    def tick(self, now: float) -> str:
        """Drop who is too slow; why the stream is over, empty while it is not. Call it often."""
        passed, self._last = now - self._last, now
        holders = self._holders()
        for name, one in tuple(self._live.items()):
            if one.base == self.top:
                one.moved = now
            if one in holders and 2 * len(holders) <= len(self._live):
                one.held_up += passed
            if self._too_slow(one, now):
                self._drop(name)
        if self._live:
            self._alone = now
        if self._started is None:
            return "nobody came" if not self._ready(now) and now - self._begun > 2 * self._limits.start else ""
        if self.top > self._reached or self._complete():
            self._reached, self._advanced = self.top, now
        if now - self._advanced > _STANDING * self._limits.patience:
            return "it got no further"
        if not self._live and now - self._alone > self._limits.linger:
            return "all have left" if self._left else "all were dropped"
        if not self._live and self._left and self._complete():
            return "all have it"
        if self._complete() and self._live:
            self._finishing = now if self._finishing is None else self._finishing
            if all(one.base == self.top for one in self._live.values()):
                return "all is sent"
            if now - self._finishing > _FINISHING * self._limits.patience:
                return "all is sent, and some lack parts of it"
        return ""

    def asked(self) -> dict[bytes, int]:
        """Parts that each receiver had to ask for."""
        return {name: one.asked for name, one in self._live.items()}

    @property
    def parts(self) -> int:
        """Parts that were sent, each counted once."""
        return self._parts

    def _ready(self, now: float) -> bool:
        waited = now - self._begun > self._limits.start
        if self._started is None and self._live and (waited or len(self._live) >= self._expected):
            self._started = now
        return self._started is not None

    def _complete(self) -> bool:
        """Everything went out once, and not two or more came late: for one, unicast is as good."""
        late = [one for one in self._live.values() if self.top < one.joined + self._cells]
        return self.top >= self._cells and (len(late) < 2 or self.top >= _ROUNDS * self._cells)

    def _holders(self) -> list[_Receiver]:
        """Those who are a whole window behind."""
        return [one for one in self._live.values() if self._behind(one) >= self._limits.window]

    def _behind(self, one: _Receiver) -> int:
        if one.base >= self.top:
            return 0
        sent = self._sent.get(one.base)
        return self._bytes - sent.begin if sent else self._limits.window

    def _too_slow(self, one: _Receiver, now: float) -> bool:
        limits = self._limits
        if now - one.heard > _SILENT * limits.patience or now - one.moved > limits.patience:
            return True
        if one.wanted > 2000 + self._parts // 2:
            return True
        return one.held_up > limits.patience + limits.share * (now - (self._started or now))

    def _drop(self, name: bytes) -> None:
        del self._live[name]
        self.dropped.append(name)
        self._forget()

    def _wanted(self, one: _Receiver, place: int, first: int, count: int, now: float) -> None:
        sent = self._sent.get(place)
        if sent is None:
            return
        parts = range(first, min(first + count, sent.parts))
        new = {part for part in parts if now - sent.again.get(part, -1.0) > _AGAIN}
        one.wanted += len(new)
        self._repairs.setdefault(place, set()).update(new)

    def _forget(self) -> None:
        """What everybody has is not kept."""
        lowest = min((one.base for one in self._live.values()), default=self.top)
        while self._sent and (oldest := next(iter(self._sent))) < lowest:
            del self._sent[oldest]
            self._repairs.pop(oldest, None)
