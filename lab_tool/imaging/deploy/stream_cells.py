"""What one receiver has heard of a stream: cells being put together, and what is lacking. No socket and no clock."""

from __future__ import annotations

from collections.abc import Iterator

from lab_tool.imaging.format.datagrams import WHOLE, Announce, Data, Status

# Parts of cells that are not whole yet; beyond it nothing new is begun, so that nobody can fill the memory.
_MOST_OPEN = 64 * 1024 * 1024
# No place so far ahead is believed.
_FAR = 4096
_ASK_AGAIN = 0.1
_MOST_GAPS = 140
# What a cell counts of which nothing at all came.
_USUAL_PARTS = 64


class _Open:
    """A frame of which parts are there."""

    __slots__ = ("content", "data", "lacks")

    def __init__(self, data: Data) -> None:
        self.data = data
        self.content = bytearray(data.length)
        self.lacks = set(range(-(-data.length // data.unit)))

    def add(self, data: Data) -> bool:
        """Put a part in its place; whether the frame is whole now."""
        known = self.data
        if (data.length, data.unit, data.digest) != (known.length, known.unit, known.digest):
            return False
        self.content[data.offset : data.offset + len(data.part)] = data.part
        self.lacks.discard(data.offset // data.unit)
        return not self.lacks


class Hearing:
    """Parts go in, whole cells come out; `status` says what to ask for. Places are counted from where it came in."""

    def __init__(self, receiver: bytes) -> None:
        self.ended = False
        self.dropped = False
        self._receiver = receiver
        self._cells = 0
        self._joined = -1
        self._base = 0
        self._top = 0
        self._passed = 0
        self._open: dict[int, _Open] = {}
        self._size = 0
        self._done: set[int] = set()
        self._asked: dict[int, float] = {}
        self._lost = 0

    @property
    def heard_anything(self) -> bool:
        """Whether the stream was heard at all."""
        return self._joined >= 0

    @property
    def complete(self) -> bool:
        """Whether every cell of the image was heard, from wherever it began."""
        return self._cells > 0 and self._joined >= 0 and self._base - self._joined >= self._cells

    def data(self, data: Data) -> tuple[bytes, bytes] | None:
        """Take a part; digest and frame of the cell that it made whole. Say `done` when the cell is handed on."""
        self._join(data.place)
        place = data.place
        if not self._base <= place < self._base + _FAR or place in self._done:
            return None
        self._top = max(self._top, place + 1)
        self._passed = max(self._passed, place)
        frame = self._open.get(place)
        if frame is None:
            if self._size + data.length > _MOST_OPEN:
                return None
            frame = self._open[place] = _Open(data)
            self._size += data.length
        if not frame.add(data):
            return None
        del self._open[place]
        self._size -= data.length
        self._done.add(place)
        self._asked.pop(place, None)
        while self._base in self._done:
            self._done.remove(self._base)
            self._base += 1
        return data.digest, bytes(frame.content)

    def announce(self, news: Announce) -> None:
        """Take what the sender says of the stream."""
        self._join(news.place)
        self._cells = news.cells
        if self._base <= news.place < self._base + _FAR:
            self._top = max(self._top, news.place)
            self._passed = max(self._passed, news.place)
        self.ended = self.ended or news.last
        self.dropped = self.dropped or self._receiver in news.dropped

    def status(self, now: float, *, leaves: bool = False) -> Status:
        """What to tell the sender."""
        gaps = [] if leaves else list(self._gaps(now))
        joined = max(self._joined, 0)
        return Status(self._receiver, joined, max(self._base, joined), self._lost, leaves, gaps)

    def _join(self, place: int) -> None:
        if self._joined < 0:
            self._joined = self._base = self._top = self._passed = place

    def _gaps(self, now: float) -> Iterator[tuple[int, int, int]]:
        """Parts that were passed over, each place at most every `_ASK_AGAIN` seconds."""
        count = 0
        for place in range(self._base, self._passed):
            before = self._asked.get(place)
            if place in self._done or (before is not None and now - before < _ASK_AGAIN):
                continue
            self._asked[place] = now
            frame = self._open.get(place)
            runs = _runs(sorted(frame.lacks)) if frame else [(0, WHOLE)]
            if before is None:
                self._lost += len(frame.lacks) if frame else _USUAL_PARTS
            for first, number in runs:
                yield place, first, number
                count += 1
                if count == _MOST_GAPS:
                    return


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First and length of each stretch without a hole."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs
