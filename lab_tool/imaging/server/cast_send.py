"""The program that sends one stream: `python3 -m lab_tool.imaging.server.cast_send --help`.

It ends when all has been sent and received, or when nobody hears it, and says what became of it in one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.format.datagrams import Announce, Join, announce, data
from lab_tool.imaging.server.cast_audience import Audience, Limits
from lab_tool.imaging.server.cast_channel import IP_AND_UDP, Channel
from lab_tool.imaging.server.cast_pace import Pace
from lab_tool.imaging.server.cast_source import CellSource

# Datagrams in one go: what the buffers of small switches take.
_AT_ONCE = 16
_ANNOUNCE_EVERY = 0.1
_LAST_WORDS = 5


class Stream:
    """One stream on its way: `run` sends it, `stop` (from a signal) ends it."""

    def __init__(
        self,
        join: Join,
        source: CellSource,
        channel: Channel,
        audience: Audience,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._join, self._source, self._channel = join, source, channel
        self._audience, self._pace, self._clock = audience, pace, clock
        self._announced = float("-inf")
        self._repaired = 0
        self._stopped = ""

    def stop(self) -> None:
        """End soon; receivers are told."""
        self._stopped = "stopped"

    def run(self) -> Mapping[str, str | int]:
        """Send until the stream is over; what became of it."""
        ended = ""
        while not ended:
            now = self._clock()
            for status in self._channel.statuses():
                self._audience.hear(status, now)
            ended = self._stopped or self._audience.tick(now)
            self._pace.judge(self._audience.asked(), self._audience.parts, now)
            self._say(now)
            if not ended and not self._send(now):
                self._channel.wait(0.01)
        for _ in range(_LAST_WORDS):
            self._say(self._clock(), last=True)
            time.sleep(0.02)
        here = self._audience
        counts = {"cells": here.top, "parts": here.parts, "repaired": self._repaired}
        return {"reason": ended, **counts, "left": here.left, "dropped": len(here.dropped)}

    def _send(self, now: float) -> bool:
        """Send one place, or what is lacking of one; whether there was any."""
        again = self._audience.repair()
        place = again[0] if again else self._audience.next(now)
        if place is None:
            return False
        index = place % len(self._source.digests)
        frame, unit = self._source.frame(index), self._channel.unit
        count = -(-len(frame) // unit)
        if again:
            self._audience.again(*again, now)
            self._repaired += len(again[1])
        else:
            self._audience.sent(place, len(frame), count)
        parts: Sequence[int] = again[1] if again else range(count)
        self._put(data(self._join.tag, place, self._source.digests[index], frame, unit, parts))
        return True

    def _put(self, datagrams: Sequence[bytes]) -> None:
        for at in range(0, len(datagrams), _AT_ONCE):
            chunk = datagrams[at : at + _AT_ONCE]
            while wait := self._pace.wait(self._clock()):
                time.sleep(wait)
            self._channel.send(chunk)
            self._pace.spend(sum(map(len, chunk)) + len(chunk) * IP_AND_UDP)

    def _say(self, now: float, *, last: bool = False) -> None:
        if last or now - self._announced > _ANNOUNCE_EVERY:
            self._announced = now
            image, here = bytes.fromhex(self._join.image), self._audience
            news = Announce(here.top, len(self._source.digests), last, image, here.dropped)
            self._channel.send([announce(self._join.tag, news)])


def main(arguments: Sequence[str]) -> int:
    """Send the stream that the arguments describe; exit code 1 when it can't be sent."""
    limits = Limits()
    parser = argparse.ArgumentParser(prog="cast_send", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with images, cells and packs")
    for name in ("image", "stream", "group"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--interface", default="", help="address of the network card")
    parser.add_argument("--hops", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0, help="Mbit/s at most; 0: as the network allows")
    parser.add_argument("--receivers", type=int, default=1, help="begin as soon as so many hear")
    parser.add_argument("--patience", type=float, default=limits.patience, help="seconds that one PC is waited for")
    parser.add_argument("--start", type=float, default=limits.start, help="seconds to wait for the receivers")
    known = parser.parse_args(arguments)
    join = Join(known.stream, known.group, known.port, known.image)
    try:
        source = CellSource(known.root, known.image)
        channel = Channel(join, known.interface, known.hops)
    except (LabError, OSError) as error:
        print(json.dumps({"reason": str(error)}))
        return 1
    now = time.monotonic()
    limits = replace(limits, patience=known.patience, start=known.start)
    audience = Audience(len(source.digests), known.receivers, limits, now)
    stream = Stream(join, source, channel, audience, Pace(known.rate * 1e6, now), time.monotonic)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stream.stop())
    try:
        print(json.dumps(stream.run()))
    except OSError as error:
        print(json.dumps({"reason": f"the stream broke off: {error}"}))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
