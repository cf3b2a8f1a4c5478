"""Every name a room has on this machine, from its number alone.

Nothing else decides where something lies or what it is called, so that `teardown` finds all of it without having been
told.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

RUN = Path("/run/lab-testbed")
RECORDS = RUN / "rooms"
LOCK = RUN / "lock"
CGROUP = "lab-testbed"
NETNS = Path("/run/netns")

# The range set aside for benchmarks of networks (RFC 2544): it is nobody's, so it can't hide anybody's.
RANGE = IPv4Network("198.18.0.0/15")
_ROOM_PREFIX = 22
# The last room-sized block holds the links between this machine and the rooms, four addresses each.
_BLOCKS = tuple(RANGE.subnets(new_prefix=_ROOM_PREFIX))
_LINKS = tuple(_BLOCKS[-1].subnets(new_prefix=30))
ROOMS = len(_BLOCKS) - 1
SEATS = _BLOCKS[0].num_addresses - 3


@dataclass(frozen=True, slots=True)
class RoomPlace:
    """The names of room number `slot` (0 to `ROOMS` - 1)."""

    slot: int

    @property
    def record(self) -> Path:
        """Says that the room exists and whose it is."""
        return RECORDS / f"{self.slot}.json"

    @property
    def mounts(self) -> Path:
        """The folder under which all its mounts lie."""
        return RUN / f"room-{self.slot}"

    @property
    def cgroup(self) -> str:
        """The control group that holds every process of its hosts, below the root of a hierarchy."""
        return f"{CGROUP}/{self.slot}"

    @property
    def name(self) -> str:
        """The network namespace with its bridge; also its link into the machine and its nftables table."""
        return f"testbed{self.slot}"

    @property
    def network(self) -> IPv4Network:
        """The hosts' addresses."""
        return _BLOCKS[self.slot]

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's address."""
        return self.network[-2]

    @property
    def control(self) -> IPv4Address:
        """This machine, as the hosts see it."""
        return _LINKS[self.slot][1]

    @property
    def link(self) -> IPv4Address:
        """The room's end of its link to this machine."""
        return _LINKS[self.slot][2]


@dataclass(frozen=True, slots=True)
class HostPlace:
    """The names of the host on `seat` (1 to `SEATS`) of a room."""

    room: RoomPlace
    seat: int

    @property
    def address(self) -> IPv4Address:
        """Its address: consecutive seats have consecutive addresses."""
        return self.room.network[self.seat]

    @property
    def mac(self) -> str:
        """Its MAC, locally administered."""
        return f"02:1a:b0:{self.room.slot:02x}:{self.seat >> 8:02x}:{self.seat & 255:02x}"

    @property
    def netns(self) -> str:
        """Its network namespace, and its machine name for nspawn."""
        return f"{self.room.name}-{self.seat}"

    @property
    def port(self) -> str:
        """Its port on the bridge."""
        return f"pc{self.seat}"

    @property
    def cgroup(self) -> str:
        """The control group with all its processes."""
        return f"{self.room.cgroup}/{self.seat}"

    @property
    def disk(self) -> Path:
        """A file system of limited size: all that the host ever writes."""
        return self.room.mounts / str(self.seat) / "disk"

    @property
    def root(self) -> Path:
        """Its root directory, readable and writable from outside, also while it is off."""
        return self.room.mounts / str(self.seat) / "root"
