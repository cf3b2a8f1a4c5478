"""A room of lab PCs: build it, use it, take it down."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.testbed import boot, identity, network, registry, rootfs, storage, teardown
from tests.testbed import machine as machine_settings
from tests.testbed.available import reason_not_available
from tests.testbed.errors import RoomError
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

    `folder` (made if need be) gets the room's key pair, `known_hosts`, an `ssh_config` for the hand, and the hosts'
    consoles; it is the caller's, and stays after the room is down. `disk`: bytes each host may write.

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
    base = rootfs.base()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with uninterrupted(), registry.machine_lock():
        teardown.reap()
        record = registry.reserve(name, folder.resolve(), seats)
        _MINE.append(record)
    try:
        with registry.machine_lock():
            machine_settings.prepare()
        return _build(record, base, disk)
    except BaseException:
        with uninterrupted():
            teardown.remove(record)
        raise


def room_of(record: Record) -> TestRoom:
    """The room that a record tells of, for a process that did not build it."""
    hosts = tuple(_host(record, seat, name) for seat, name in record.hosts.items())
    folder = record.folder
    return TestRoom(record.name, hosts, folder / "id_ed25519", folder / "known_hosts", folder, record)


def _host(record: Record, seat: int, name: str) -> TestHost:
    place = HostPlace(record.place, seat)
    return TestHost(name, seat, str(place.address), place.mac, place, record.folder / "console" / f"{name}.log")


def _build(record: Record, base: Path, disk: int) -> TestRoom:
    room = room_of(record)
    login_key = _prepare_folder(room)
    addresses = {host.name: host.address for host in room.hosts}
    network.create(record.place, [host.place for host in room.hosts])
    # One after the other up to power-on: each boots on its own while the next is prepared.
    for host in room.hosts:
        storage.create(host.place, base, disk)
        identity.write(host.place, host.name, addresses, login_key)
        boot.start(host.place, host.name, host.console)
    _write_known_hosts(room)
    silent = boot.wait_for_ssh([host.place for host in room.hosts], _PATIENCE + _PATIENCE_PER_HOST * len(room.hosts))
    if silent:
        names = ", ".join(record.hosts[place.seat] for place in silent)
        raise RoomError(f"no SSH from {names}; see {room.folder / 'console'}")
    return room


def _prepare_folder(room: TestRoom) -> str:
    """Make the room's key pair and the files around it; the public line."""
    (room.folder / "console").mkdir(exist_ok=True)
    for path in (room.private_key, room.private_key.with_suffix(".pub"), *(host.console for host in room.hosts)):
        path.unlink(missing_ok=True)
    options: Mapping[str, object] = {
        "User": room.user,
        "IdentityFile": room.private_key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": room.known_hosts,
        "StrictHostKeyChecking": "yes",
    }
    lines = [f"  {name} {value}" for name, value in options.items()]
    aliases = [line for host in room.hosts for line in (f"Host {host.name}", f"  HostName {host.address}")]
    (room.folder / "ssh_config").write_text("\n".join([*aliases, "Host *", *lines, ""]), encoding="utf-8")
    return identity.make_key(room.private_key, f"{room.user}@{room.name}")


def _write_known_hosts(room: TestRoom) -> None:
    """The hosts' keys as they stand on their own disks: nothing is trusted because it answered first."""
    lines = [f"{host.name},{host.address} {identity.host_key(host.place)}\n" for host in room.hosts]
    room.known_hosts.write_text("".join(lines), encoding="ascii")


_MINE: list[Record] = []


def _down_at_exit(builder: int = os.getpid()) -> None:
    """Rooms of this process end with it. Not those of a process it was forked from, and not those it gave away."""
    for record in _MINE:
        if os.getpid() == builder and any(other.id == record.id and other.owner for other in registry.records()):
            teardown.remove(record)


atexit.register(_down_at_exit)
