"""The socket from which a stream goes to its group, and to which its receivers answer."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

from lab_tool.imaging.format.datagrams import DATA_HEAD, STATUS, Join, Status, kind, parse_status
from lab_tool.imaging.format.fields import FormatError

# linux/udp.h and linux/in.h, which Python has no names for. With the first, one call hands over many datagrams.
_UDP_SEGMENT = 103
_IP_MTU = 14
IP_AND_UDP = 28
_NO_SEGMENTS = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT)


class Channel:
    """`interface` is the address of the card, empty for the one that routing chooses; `hops` 1 within one network."""

    def __init__(self, join: Join, interface: str = "", hops: int = 1) -> None:
        """Raises `OSError` when the port is taken or there is no such address."""
        self._to = (join.group, join.port)
        self._tag = join.tag
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if interface:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((interface, join.port))
        self._segments = True
        self.unit = _mtu(self._to, interface) - IP_AND_UDP - DATA_HEAD

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send them, all but the last of one size. Waits while the card is busy; what is lost is asked for again."""
        if len(datagrams) > 1 and self._segments:
            size = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", len(datagrams[0])))]
            try:
                self._socket.sendmsg(datagrams, size, 0, self._to)
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return
                if error.errno not in _NO_SEGMENTS:
                    raise
                # A card without checksums of its own.
                self._segments = False
        for datagram in datagrams:
            try:
                self._socket.sendto(datagram, self._to)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def statuses(self) -> Iterator[Status]:
        """What receivers of this stream have said since the last time."""
        with suppress(BlockingIOError):
            while True:
                datagram = self._socket.recv(2048, socket.MSG_DONTWAIT)
                if kind(datagram, self._tag) == STATUS:
                    with suppress(FormatError):
                        yield parse_status(datagram)

    def wait(self, seconds: float) -> None:
        """Until somebody says something, at most so long."""
        select.select([self._socket], [], [], seconds)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _mtu(to: tuple[str, int], interface: str) -> int:
    """What goes over the way to the group in one piece; jumbo frames are not counted on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if interface:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        probe.connect(to)
        return min(1500, max(576, probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)))
