"""A room of lab PCs: build it, use it, take it down."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.testbed import boot, identity, network, registry, rootfs, storage, teardown
from tests.testbed import machine as machine_settings
from tests.testbed.available import reason_not_available
from tests.testbed.errors import RoomError
from tests.testbed.folder import RoomFolder
from tests.testbed.host import TestHost
from tests.testbed.interruption import uninterrupted
from tests.testbed.places import SEATS, HostPlace
from tests.testbed.registry import Record

__all__ = ["TestHost", "TestRoom", "build_room", "reason_not_available", "room_of"]

MIB = 1024 * 1024
# What a host may write, in bytes. Memory is used only as it is written.
DISK = 1024 * MIB
# Seconds until SSH must answer on all hosts: a fixed part, and one for each host that shares this machine.
_PATIENCE, _PATIENCE_PER_HOST = 60.0, 10.0
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class TestRoom:
    """A room of this machine. As a context manager it is taken down at the end."""

    __test__: ClassVar[bool] = False

    name: str
    hosts: tuple[TestHost, ...]
    private_key: Path
    known_hosts: Path
    folder: Path
    record: Record

    @property
    def user(self) -> str:
        """The account that logs in with `private_key` and may become root without a password."""
        return identity.USER

    @property
    def control(self) -> str:
        """This machine's address as the hosts see it (they also know it as `control`)."""
        return str(self.record.place.control)

    def host(self, name: str) -> TestHost:
        """The host of that name; raises `RoomError` when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise RoomError(f"no host {name} in room {self.name}")

    def down(self) -> None:
        """Take it down: processes, network, disks, keys. Again: nothing happens."""
        with uninterrupted():
            teardown.remove(self.record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def default_name(seat: int) -> str:
    """pc01, pc02 ..."""
    return f"pc{seat:02d}"


def build_room(
    name: str,
    count: int,
    folder: Path,
    first: int = 1,
    names: Callable[[int], str] = default_name,
    *,
    disk: int = DISK,
) -> TestRoom:
    """Build a room of `count` PCs on the seats from `first` on, and wait until SSH answers on all of them.

    `folder` (new or empty) gets the room's key pair, `known_hosts`, an `ssh_config` for the hand, and the hosts'
    consoles; it goes with the room. `disk`: bytes each host may write.

    The room ends with `down()`, at the end of a `with`, or at the latest with this process. A room left by a killed
    process is taken down by the next one that is built. Raises `RoomError`.
    """
    reason = reason_not_available()
    if reason:
        raise RoomError(reason)
    if not (count >= 1 and first >= 1 and first + count - 1 <= SEATS):
        raise RoomError(f"seats {first} to {first + count - 1}: a room has seats 1 to {SEATS}")
    seats = {seat: names(seat) for seat in range(first, first + count)}
    if len(set(seats.values())) < count:
        raise RoomError(f"two seats of room {name} have the same name")
    for host in seats.values():
        if not _LABEL.fullmatch(host):
            raise RoomError(f"{host!r} can't be a host's name: lower-case letters, digits and hyphens, at most 63")
    base = rootfs.base()
    with uninterrupted(), registry.machine_lock():
        teardown.reap()
        record = registry.reserve(name, folder.resolve(), seats)
        _MINE.append(record)
    try:
        with registry.machine_lock():
            machine_settings.prepare()
        return _build(record, base, disk)
    except BaseException as error:
        # What the hosts said tells why they would not start; somebody who pressed Ctrl-C did not ask.
        with uninterrupted():
            teardown.remove(record, keep_consoles=isinstance(error, Exception))
        raise


def room_of(record: Record) -> TestRoom:
    """The room that a record tells of, for a process that did not build it."""
    folder = RoomFolder(record.folder)
    places = {name: HostPlace(record.place, seat) for seat, name in record.hosts.items()}
    hosts = (
        TestHost(name, place.seat, str(place.address), place.mac, place, folder.console(name))
        for name, place in places.items()
    )
    return TestRoom(record.name, tuple(hosts), folder.private_key, folder.known_hosts, folder.path, record)


def _build(record: Record, base: Path, disk: int) -> TestRoom:
    room, folder = room_of(record), RoomFolder(record.folder)
    addresses = {host.name: host.address for host in room.hosts}
    login_key = folder.prepare(room.name, addresses.items())
    network.create(record.place, [host.place for host in room.hosts])
    # One after the other up to power-on: each boots on its own while the next is prepared.
    for host in room.hosts:
        storage.create(host.place, base, disk)
        identity.write(host.place, host.name, addresses, login_key)
        boot.start(host.place, host.name, host.console)
    folder.write_known_hosts((host.name, host.address, identity.host_key(host.place)) for host in room.hosts)
    silent = boot.wait_for_ssh([host.place for host in room.hosts], _PATIENCE + _PATIENCE_PER_HOST * len(room.hosts))
    if silent:
        names = ", ".join(record.hosts[place.seat] for place in silent)
        raise RoomError(f"no SSH from {names}; see {folder.consoles}")
    return room


_MINE: list[Record] = []


def _down_at_exit(builder: int = os.getpid()) -> None:
    """Rooms of this process end with it. Not those of a process it was forked from, and not those it gave away."""
    for record in _MINE:
        if os.getpid() == builder and any(other.id == record.id and other.owner for other in registry.records()):
            teardown.remove(record)


atexit.register(_down_at_exit)
