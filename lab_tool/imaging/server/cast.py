"""Which PCs of a room get an image by one stream: gathered for a while, then sent to all of them at once.

The daemon asks here first for every `/api/next`. No clock, no file and no socket in here: the stream itself is a
program of its own (`cast_send`), and an image server that was killed begins with an empty table: PCs ask again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab_tool.imaging.format.datagrams import Join

# A PC that gathers asks every few seconds; one that has not for so long is gone.
ASK_EVERY = 2.0
_GONE = 15.0
# A stream whose last receivers have just left may still be ending.
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in so many seconds: the room gathers."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """Take what is missing by unicast; whose turn that is, is not decided here."""


Answer = Wait | Join | Fetch


@dataclass(frozen=True, slots=True)
class CastSettings:
    """`gather` is how long a room is waited for, in seconds; `streams` how many run at once, 0 for no multicast at all.

    A stream is for `least` PCs and more, and for those that lack at least the part `worth` of the image. Each has a
    group and a port of its own, counted from `first_group` (its last number) and `first_port`.
    """

    gather: float = 60.0
    least: int = 2
    worth: float = 0.2
    streams: int = 4
    first_group: str = "239.255.70.1"
    first_port: int = 9100


class Sender(Protocol):
    """A running stream."""

    def running(self) -> bool:
        """Whether it still sends. Never blocks."""

    def stop(self) -> None:
        """End it now."""


Launch = Callable[[Join, int], Sender]


@dataclass(slots=True)
class _Gathering:
    begun: float
    asked: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Stream:
    join: Join
    sender: Sender
    slot: int


class Cast:
    """Decides for each PC that asks; `launch(join, receivers)` starts a sender that expects so many.

        cast = Cast(CastSettings(...), launch=cast_launch.launcher(...), clock=time.monotonic)
        answer = cast.ask(room="a301", image="<id>", session="<hex>", expected=24)

    `ask` never blocks for longer than starting a program takes; call it from one thread.
    """

    def __init__(
        self,
        settings: CastSettings,
        *,
        launch: Launch,
        clock: Callable[[], float],
        name: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._settings = settings
        self._launch = launch
        self._clock = clock
        self._name = name
        self._gatherings: dict[tuple[str, str], _Gathering] = {}
        self._streams: dict[tuple[str, str], _Stream] = {}
        # Sessions that had their stream, or waited for others in vain: they are not made to wait again.
        self._past: dict[tuple[str, str], None] = {}

    def ask(self, room: str, image: str, session: str, expected: int, lacks: float = 1.0) -> Answer:
        """What this PC is to do now. `expected`: open orders of its room that want this image, this PC's among them.
        `lacks`: the part of the image that it does not have yet, where it says so.

        A PC hears a running stream of its room even when it comes late. After its stream, or when it gathered with
        nobody, the answer is `Fetch` for as long as it asks. Raises `OSError` when a sender can't be started.
        """
        key, now = (room, image), self._clock()
        self._sweep()
        if (session, image) in self._past or lacks < self._settings.worth:
            return Fetch()
        running = self._streams.get(key)
        if running:
            return self._joined(running, session)
        if self._settings.streams == 0 or expected < self._settings.least:
            return Fetch()
        gathering = self._gatherings.setdefault(key, _Gathering(now))
        gathering.asked[session] = now
        here = [one for one, last in gathering.asked.items() if now - last < _GONE]
        if len(here) < expected and now - gathering.begun < self._settings.gather:
            return Wait(ASK_EVERY)
        del self._gatherings[key]
        slot = self._free_slot()
        if len(here) < self._settings.least or slot is None:
            for one in here:
                self._remember(one, image)
            return Fetch()
        join = Join(self._name(), self._group(slot), self._settings.first_port + slot, image)
        stream = self._streams[key] = _Stream(join, self._launch(join, len(here)), slot)
        return self._joined(stream, session)

    def streams(self) -> Sequence[Mapping[str, str | int]]:
        """Streams that run now: room, image, stream, group, port."""
        self._sweep()
        return [{"room": room, **stream.join.answer()} for (room, _), stream in self._streams.items()]

    def stop(self) -> None:
        """End all streams: their receivers go on by unicast."""
        for stream in self._streams.values():
            stream.sender.stop()
        self._streams.clear()

    def _joined(self, stream: _Stream, session: str) -> Join:
        self._remember(session, stream.join.image)
        return stream.join

    def _remember(self, session: str, image: str) -> None:
        self._past[(session, image)] = None
        while len(self._past) > _MOST_REMEMBERED:
            del self._past[next(iter(self._past))]

    def _sweep(self) -> None:
        for key in [key for key, stream in self._streams.items() if not stream.sender.running()]:
            del self._streams[key]

    def _free_slot(self) -> int | None:
        taken = {stream.slot for stream in self._streams.values()}
        return next((slot for slot in range(self._settings.streams) if slot not in taken), None)

    def _group(self, slot: int) -> str:
        first, _, last = self._settings.first_group.rpartition(".")
        return f"{first}.{int(last) + slot}"
