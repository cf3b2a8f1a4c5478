"""Hear a room's multicast stream and hand on the cells that are whole; what is missing afterwards is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lab_tool.imaging.format.datagrams import Join


class Sink(Protocol):
    """Who takes the cells (`Writer`), called from one thread."""

    def offer(self, digest: bytes, frame: bytes) -> None:
        """Take the frame that a stream gave for the cell of that digest, and hold it to the digest.

        A cell that nobody wants, or whose content is another, is passed over: it comes again by unicast. What this
        raises (a disk that fails) ends the hearing.
        """


@dataclass(frozen=True, slots=True)
class Heard:
    """How it ended: `complete` when every cell of the image was heard, else `reason` says why not."""

    cells: int
    size: int
    complete: bool
    reason: str


def receive(join: Join, image: str, sink: Sink, *, interface: str = "", patience: float = 15.0) -> Heard:
    """Hear the stream until it ends, is silent for `patience` seconds, or drops this PC.

    `image` is the one of the signed order. `interface` is the address of the network card, empty for the one that
    routing chooses. Raises `FormatError`, before anything was offered, for an invitation to another image and for a
    group on which another image is all that is heard.
    """
    raise NotImplementedError
