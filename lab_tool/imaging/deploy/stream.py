"""Hear a room's multicast stream and hand on the cells that are whole; what is missing afterwards is fetched."""

from __future__ import annotations

import os
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from lab_tool.imaging.deploy.stream_cells import Hearing
from lab_tool.imaging.format.datagrams import (
    Join,
    foreign,
    kind,
    parse_announce,
    parse_data,
    status,
)
from lab_tool.imaging.format.fields import FormatError

# linux/udp.h: the kernel may hand over many datagrams of one size at once, and says which.
_UDP_GRO = 104
_IP_MULTICAST_ALL = 49
_SO_RCVBUFFORCE = 33
_BUFFER = 16 * 1024 * 1024
_TELL_EVERY = 0.02
# How often it is looked whether a stream brings anything: that takes a moment for a large image.
_LOOK_EVERY = 5.0
_AHEAD = 16
_LAST_WORDS = 3


class Sink(Protocol):
    """Who takes the cells (`Writer`), called from one thread."""

    def offer(self, digest: bytes, frame: bytes) -> None:
        """Take the frame that a stream gave for the cell of that digest, and hold it to the digest.

        A cell that nobody wants, or whose content is another, is passed over: it comes again by unicast. What this
        raises (a disk that fails) ends the hearing.
        """

    @property
    def missing_bytes(self) -> int:
        """What it still lacks: a stream that does not make it less is left, whatever it says."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How it ended: `complete` when every cell of the image was heard, else `reason` says why not."""

    cells: int
    size: int
    complete: bool
    reason: str


def receive(
    join: Join, image: str, sink: Sink, *, interface: str = "", patience: float = 15.0, useless: float = 120.0
) -> Heard:
    """Hear the stream until it ends, is silent for `patience` seconds, brings nothing that the sink lacks for `useless`
    seconds, or drops this PC. Anybody on the network can keep a stream from falling silent.

    `image` is the one of the signed order. `interface` is the address of the network card, empty for all of them.
    Raises `FormatError`, with nothing offered, for an invitation to another image and for a group on which another
    image is all that is heard.
    """
    if join.image != image:
        raise FormatError(f"an invitation to the image {join.image[:12]}, and not to {image[:12]}")
    try:
        channel = _Channel(join, interface)
    except OSError as error:
        return Heard(0, 0, False, f"this PC can't hear {join.group}: {error}")
    with channel, _Handing(sink) as handing:
        listener = _Listener(join, channel, handing, (patience, useless))
        reason = listener.run()
        return Heard(handing.cells, handing.size, listener.hearing.complete, reason)


class _Listener:
    """The loop: datagrams in, whole cells to the sink, word of what is lacking back to the sender."""

    def __init__(self, join: Join, channel: _Channel, handing: _Handing, patience: tuple[float, float]) -> None:
        self.hearing = Hearing(os.urandom(8))
        self._join, self._channel, self._handing = join, channel, handing
        self._patience, self._useless = patience
        self._heard = self._gained = self._looked = time.monotonic()
        self._left = handing.left
        self._told = 0.0
        self._other = ""

    def run(self) -> str:
        """Listen to the end; why it was the end, empty when all was heard."""
        while True:
            for datagram in self._channel.datagrams():
                self._take(datagram)
            now = time.monotonic()
            if now - self._told > _TELL_EVERY and self.hearing.heard_anything:
                self._tell(now)
            ended = "" if self.hearing.complete else self._over(now)
            if ended or self.hearing.complete:
                for _ in range(_LAST_WORDS):
                    self._tell(now, leaves=True)
                return ended

    def _over(self, now: float) -> str:
        if self.hearing.ended:
            return "the stream ended"
        if self.hearing.dropped:
            return "the stream went on without this PC, which was too slow"
        if self._is_useless(now):
            return "the stream brought nothing that this PC lacks"
        if now - self._heard < self._patience:
            return ""
        if self._other and not self.hearing.heard_anything:
            raise FormatError(f"a stream of the image {self._other[:12]}, and not of {self._join.image[:12]}")
        return "the stream fell silent" if self.hearing.heard_anything else "no stream was heard"

    def _is_useless(self, now: float) -> bool:
        if now - self._looked > min(_LOOK_EVERY, self._useless / 2):
            self._looked, left = now, self._handing.left
            if left < self._left:
                self._left, self._gained = left, now
        return now - self._gained > self._useless

    def _take(self, datagram: memoryview) -> None:
        with suppress(FormatError):
            match kind(datagram, self._join.tag):
                case b"D":
                    whole = self.hearing.data(parse_data(datagram))
                    if whole:
                        self._hand(*whole)
                case b"A":
                    news = parse_announce(bytes(datagram))
                    if news.image.hex() == self._join.image:
                        self.hearing.announce(news)
                case _:
                    self._other = self._other or foreign(datagram)
                    return
            self._heard = time.monotonic()

    def _hand(self, digest: bytes, frame: bytes) -> None:
        """Wait while the sink is busy; the sender hears meanwhile that this PC lives."""
        while not self._handing.put(digest, frame, _TELL_EVERY):
            self._tell(time.monotonic())

    def _tell(self, now: float, *, leaves: bool = False) -> None:
        self._told = now
        self._channel.tell(status(self._join.tag, self.hearing.status(now, leaves=leaves)))


class _Handing:
    """The sink in a thread of its own, and a few cells on the way to it."""

    def __init__(self, sink: Sink) -> None:
        self.cells = 0
        self.size = 0
        self._sink = sink
        self._queue: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Handing:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None and self._error:
            raise self._error

    @property
    def left(self) -> int:
        """What the sink still lacks."""
        return self._sink.missing_bytes

    def put(self, digest: bytes, frame: bytes, seconds: float) -> bool:
        """Hand on a cell; False when the sink was busy for so long. Raises what the sink raised."""
        if self._error:
            raise self._error
        try:
            self._queue.put((digest, frame), timeout=seconds)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while (cell := self._queue.get()) is not None:
            if self._error:
                continue
            try:
                self._sink.offer(*cell)
            except BaseException as error:
                self._error = error
            else:
                self.cells += 1
                self.size += len(cell[1])


class _Channel:
    """The sockets: one hears the group and nothing else, one speaks to whom it hears."""

    def __init__(self, join: Join, interface: str) -> None:
        self._tag = join.tag
        self._sender: tuple[str, int] | None = None
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            self._socket.bind((join.group, join.port))
            self._become_member(socket.inet_aton(join.group), interface)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> _Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _become_member(self, group: bytes, interface: str) -> None:
        """Of the group, by that card or by all of them: a network without a router has no route to any group."""
        if interface:
            members = [group + socket.inet_aton(interface)]
        else:
            members = [group + bytes(4) + struct.pack("=i", at) for at, name in socket.if_nameindex() if name != "lo"]
        refused = OSError("there is no network card")
        joined = False
        for member in members:
            try:
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
                joined = True
            except OSError as error:
                refused = error
        if not joined:
            raise refused

    def close(self) -> None:
        """Close both."""
        self._socket.close()
        self._back.close()

    def datagrams(self) -> Iterator[memoryview]:
        """What has come; waits a moment when nothing has."""
        if not select.select([self._socket], [], [], _TELL_EVERY)[0]:
            return
        with suppress(BlockingIOError):
            for _ in range(64):
                size, more, _, sender = self._socket.recvmsg_into([self._buffer], 64, socket.MSG_DONTWAIT)
                if self._buffer.startswith(self._tag):
                    self._sender = sender
                unit = next((struct.unpack("=i", value)[0] for _, what, value in more if what == _UDP_GRO), size)
                for at in range(0, size, unit):
                    yield self._view[at : min(at + unit, size)]

    def tell(self, datagram: bytes) -> None:
        """Say something to the sender; what is lost is said again."""
        if self._sender:
            with suppress(OSError):
                self._back.sendto(datagram, self._sender)
