"""Who may fetch now: so many PCs at a time, the others in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable

# Seconds without a word after which a PC loses its slot, or its place in the queue.
SILENCE = 60.0


class Slots:
    """`tick` is seconds by a clock that only goes forward."""

    def __init__(self, limit: int, tick: Callable[[], float]) -> None:
        self._limit = limit
        self._tick = tick
        self._held: dict[str, float] = {}
        self._queue: dict[str, float] = {}

    def restore(self, holders: Iterable[str]) -> None:
        """After a restart: who fetched before may go on fetching."""
        now = self._tick()
        self._held.update((holder, now) for holder in holders)

    def ask(self, who: str) -> int:
        """0 when `who` may fetch; else its place in the queue, from 1."""
        now = self._forget_the_silent()
        if who in self._held:
            self._held[who] = now
            return 0
        self._queue[who] = now
        place = list(self._queue).index(who)
        if place < self._limit - len(self._held):
            del self._queue[who]
            self._held[who] = now
            return 0
        return place + 1

    def heard(self, who: str) -> None:
        """Somebody gave a sign of life."""
        for table in (self._held, self._queue):
            if who in table:
                table[who] = self._tick()

    def free(self, who: str) -> None:
        """Somebody needs no slot any more."""
        self._held.pop(who, None)
        self._queue.pop(who, None)

    def holders(self) -> list[str]:
        """Who may fetch now."""
        self._forget_the_silent()
        return list(self._held)

    def waiting(self) -> int:
        """How many wait."""
        self._forget_the_silent()
        return len(self._queue)

    def _forget_the_silent(self) -> float:
        now = self._tick()
        for table in (self._held, self._queue):
            for who in [one for one, last in table.items() if now - last > SILENCE]:
                del table[who]
        return now
