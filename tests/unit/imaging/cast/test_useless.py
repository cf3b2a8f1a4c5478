"""A stream that goes on and on and brings nothing holds up nobody for ever."""

from __future__ import annotations

import socket
import threading

import pytest

from lab_tool.imaging.deploy.stream import receive
from lab_tool.imaging.format.datagrams import Announce, Join, announce, data

JOIN = Join("0123456789abcdef", "239.255.70.9", 9190, "a" * 64)
HOME = "127.0.0.1"


class _Sink:
    """Lacks something, and gets it never."""

    def __init__(self) -> None:
        self.offered = 0

    @property
    def missing_bytes(self) -> int:
        """Always the same."""
        return 1000

    def offer(self, digest: bytes, frame: bytes) -> None:
        """Of no use."""
        self.offered += 1


@pytest.mark.parametrize("garbage", [False, True])
def test_somebody_who_keeps_a_stream_going_is_left(garbage: bool) -> None:
    ended = threading.Event()

    def disturb() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HOME))
            for place in range(400):
                said = [announce(JOIN.tag, Announce(place, 10_000, False, bytes.fromhex(JOIN.image)))]
                if garbage:
                    said += data(JOIN.tag, place, bytes(32), b"garbage", 100, [0])
                for one in said:
                    sender.sendto(one, (JOIN.group, JOIN.port))
                if ended.wait(0.05):
                    return

    thread = threading.Thread(target=disturb)
    thread.start()
    sink = _Sink()
    try:
        heard = receive(JOIN, JOIN.image, sink, interface=HOME, patience=10, useless=0.5)
    finally:
        ended.set()
        thread.join()
    assert (heard.complete, heard.reason) == (False, "the stream brought nothing that this PC lacks")
    assert bool(sink.offered) is garbage
