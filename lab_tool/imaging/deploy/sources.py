"""Where cells come from: the server's packs over HTTP, the cache partition of this disk, a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab_tool.imaging.format.packs import Place

# One request; large enough that the way there and back does not count, small enough to lose little when it is cut.
LONGEST_REQUEST = 4 * 1024 * 1024
# Fetching a few bytes that nobody asked for is cheaper than another request.
_GAP = 64 * 1024

# Takes a cell's digest and its frame, from any thread; what it raises ends the fetching.
Offer = Callable[[bytes, bytes], object]


class Source(Protocol):
    """Somewhere that has cells."""

    def fetch(self, digests: Sequence[bytes], offer: Offer) -> None:
        """Hand over each of these cells, in the order in which they are got best. What it lacks it leaves out."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames that lie close together in one pack, and are got in one piece."""

    pack: str
    start: int
    end: int
    frames: tuple[tuple[bytes, Place], ...]


def stretches(digests: Iterable[bytes], packs: Mapping[str, Mapping[bytes, Place]]) -> list[Stretch]:
    """The pieces of packs to get for these cells, each cell once, packs one after the other from start to end."""
    where: dict[bytes, tuple[str, Place]] = {}
    for pack, places in packs.items():
        for digest in places:
            where.setdefault(digest, (pack, places[digest]))
    order = {pack: number for number, pack in enumerate(packs)}
    found = sorted(
        ((order[where[digest][0]], where[digest][1].offset, digest) for digest in set(digests) if digest in where),
    )
    pieces: list[Stretch] = []
    for _, offset, digest in found:
        pack, place = where[digest]
        end = offset + place.length
        last = pieces[-1] if pieces else None
        if last and last.pack == pack and offset - last.end <= _GAP and end - last.start <= LONGEST_REQUEST:
            pieces[-1] = Stretch(pack, last.start, max(end, last.end), (*last.frames, (digest, place)))
        else:
            pieces.append(Stretch(pack, offset, end, ((digest, place),)))
    return pieces
