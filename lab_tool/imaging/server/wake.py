"""Switches PCs on over the network, one after the other, since a whole room at once blows a fuse."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from lab_tool.imaging.server.files import write_whole

_log = logging.getLogger(__name__)
# Discard: nothing listens there, the network card itself looks at what arrives.
_PORT = 9
# SIOCGIFBRDADDR and what it answers with.
_BROADCAST_OF = 0x8919
_ANSWER = struct.Struct("16s4x4s8x")


class Wake:
    """PCs to switch on, on the disk in `path` as well; `interval` seconds lie between two."""

    def __init__(
        self,
        path: Path,
        interval: float,
        send: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._interval = interval
        self._send = send
        self._sleep = sleep
        self._queue: list[str] = _read(path)
        self._work = asyncio.Event()

    def add(self, macs: Iterable[str]) -> None:
        """Switch these on as well; one that waits already is not switched on twice. Raises `OSError`."""
        queue = list(dict.fromkeys([*self._queue, *macs]))
        self._save(queue)
        self._work.set()

    def waiting(self) -> Sequence[str]:
        """The MACs that still wait."""
        return tuple(self._queue)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self._queue:
                self._work.clear()
                await self._work.wait()
            mac = self._queue[0]
            try:
                self._send(mac)
                self._save([one for one in self._queue if one != mac])
            except OSError as error:
                # A network that is down now may be up in a moment.
                _log.warning("%s is not switched on: %s", mac, error)
            await self._sleep(self._interval)

    def _save(self, queue: list[str]) -> None:
        write_whole(self._path, json.dumps(queue).encode())
        self._queue = queue


def magic(mac: str) -> bytes:
    """The packet that a sleeping network card of that MAC waits for."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


def send(mac: str, more: Sequence[str] = ()) -> None:
    """Send it to everybody on each network of this machine, and to the broadcast addresses `more`."""
    targets = dict.fromkeys([*_broadcasts(), *more])
    failures = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for target in targets:
            try:
                sender.sendto(magic(mac), (target, _PORT))
            except OSError as error:
                failures.append(error)
    if len(failures) == len(targets):
        raise failures[0] if failures else OSError("this machine is on no network")


def _broadcasts() -> list[str]:
    """The broadcast addresses of this machine's interfaces."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if name == "lo":
                continue
            try:
                said = fcntl.ioctl(asking.fileno(), _BROADCAST_OF, struct.pack("32s", name.encode()))
            except OSError:
                # Without an IPv4 address.
                continue
            address = socket.inet_ntoa(_ANSWER.unpack(said)[1])
            if address != "0.0.0.0":
                found.append(address)
    return found


def _read(path: Path) -> list[str]:
    try:
        return [str(mac) for mac in json.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except ValueError:
        _log.warning("%s can't be read: nobody is switched on", path)
        return []
