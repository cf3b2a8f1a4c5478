"""How fast a stream is sent: up to a limit, slower while most of the room loses datagrams, then faster again."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

_START = 300e6
_LEAST = 8e6
_MOST = 10e9
_EVERY = 0.25
# Beyond this share of lost parts at half of the receivers the network, not one PC, is too slow.
_LOSS = 0.05
# Never more at once than switches hold, nor than is due in this time.
_BURST = 0.005
# Nobody sleeps for less.
_SOON = 1e-6


class Pace:
    """`limit` in bit/s, 0 for none."""

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit or _MOST
        self.rate = min(_START, self._limit)
        self._credit = 0.0
        self._filled = self._judged = now
        self._asked: Mapping[bytes, int] = {}
        self._parts = 0
        self._bits = 0.0

    def wait(self, now: float) -> float:
        """Seconds until something may be sent."""
        self._credit = min(self._credit + (now - self._filled) * self.rate, self.rate * _BURST)
        self._filled = now
        owed = -self._credit / self.rate
        return owed if owed > _SOON else 0.0

    def spend(self, size: int) -> None:
        """So many bytes went out."""
        self._credit -= 8 * size
        self._bits += 8 * size

    def judge(self, asked: Mapping[bytes, int], parts: int, now: float) -> None:
        """Set the rate anew by what receivers had to ask for, of all the parts that were sent."""
        passed, sent = now - self._judged, parts - self._parts
        if passed < _EVERY or sent < 100:
            return
        losses = [(count - self._asked[name]) / sent for name, count in asked.items() if name in self._asked]
        if losses and statistics.median(losses) > _LOSS:
            self.rate = max(self.rate * 0.7, min(_LEAST, self._limit))
        else:
            # A rate far above what really goes out would say nothing.
            used = max(2 * self._bits / passed, min(_START, self._limit))
            self.rate = min(self.rate * 1.5, used, self._limit)
        self._asked, self._parts, self._bits, self._judged = dict(asked), parts, 0.0, now
