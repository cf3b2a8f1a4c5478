"""A room's block of addresses, and the address of each of its seats."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# A room is not a whole network: a shorter prefix is a slip of the finger.
SHORTEST_PREFIX = 8
SHORTEST_PREFIX6 = 48
GLOBAL6 = IPv6Network("2000::/3")
PRIVATE6 = IPv6Network("fc00::/7")


class AddressError(ValueError):
    """What is wrong with a block or an address; `field` is `block` or `first` of the block's mapping."""

    def __init__(self, field: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.field = field
        self.what = what
        self.fix = fix


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Addresses as numbers: the block is `lowest` to `highest`, hosts get `least` to `most`, the first seat `first`."""

    text: str
    version: int
    lowest: int
    highest: int
    least: int
    most: int
    first: int

    def of(self, index: int) -> str:
        """The address of the seat `index` places after the first."""
        number = self.first + index
        if self.version == 4:
            return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return str(IPv6Address(number))

    def refusal(self, number: int) -> str:
        """Why no host may have that address; empty where one may."""
        if not self.lowest <= number <= self.highest:
            return f"outside the block {self.text}"
        if number < self.least:
            return f"the network's own address of {self.text}"
        return f"the broadcast address of {self.text}" if number > self.most else ""

    def check_seats(self, seats: int) -> None:
        """Raises `AddressError` unless that many seats find an address from the first one on."""
        for field, number in (("first", self.first), ("block", self.first + seats - 1)):
            refusal = self.refusal(number)
            if refusal:
                address = (
                    self.of(number - self.first)
                    if number < 1 << (32 if self.version == 4 else 128)
                    else "the last seat"
                )
                fix = f"{seats} seats need as many addresses: take a larger block, or an earlier first one"
                raise AddressError(field, f"{address} is {refusal}", fix)


def plan4(block: str, first: str | None) -> AddressPlan:
    """The plan of an IPv4 block; without `first` the first seat gets its first address. Raises `AddressError`."""
    try:
        network = IPv4Network(block)
    except ValueError as error:
        raise _not_a_block(block, error) from error
    if network.prefixlen < SHORTEST_PREFIX:
        raise AddressError("block", f"{block} is larger than a room needs", f"At most a /{SHORTEST_PREFIX}")
    special = network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved
    if special or network.network_address.packed[0] == 0:
        fix = "Loopback, link-local, multicast and reserved addresses are no PCs'"
        raise AddressError("block", f"{block} holds no addresses of PCs", fix)
    edge = 1 if network.prefixlen < 31 else 0
    lowest, highest = int(network.network_address), int(network.broadcast_address)
    begin = lowest + edge if first is None else number4(first)
    return AddressPlan(block, 4, lowest, highest, lowest + edge, highest - edge, begin)


def plan6(block: str, first: str | None) -> AddressPlan:
    """The plan of an IPv6 block; without `first` the first seat gets its first address. Raises `AddressError`."""
    try:
        network = IPv6Network(block)
    except ValueError as error:
        raise _not_a_block(block, error) from error
    if network.prefixlen < SHORTEST_PREFIX6:
        raise AddressError("block", f"{block} is larger than a room needs", f"At most a /{SHORTEST_PREFIX6}")
    if not (network.subnet_of(GLOBAL6) or network.subnet_of(PRIVATE6)):
        raise AddressError("block", f"{block} holds no addresses of PCs", f"Take one from {GLOBAL6} or {PRIVATE6}")
    edge = 1 if network.prefixlen < 127 else 0
    lowest, highest = int(network.network_address), int(network.broadcast_address)
    begin = lowest + edge if first is None else number6(first)
    return AddressPlan(str(network), 6, lowest, highest, lowest + edge, highest, begin)


def number4(address: str, field: str = "first") -> int:
    """The address as a number. Raises `AddressError`."""
    try:
        return int(IPv4Address(address))
    except ValueError as error:
        raise AddressError(field, f"{address!r} is no IPv4 address", "Four numbers from 0 to 255") from error


def number6(address: str, field: str = "first") -> int:
    """The address as a number. Raises `AddressError`."""
    try:
        return int(IPv6Address(address))
    except ValueError as error:
        raise AddressError(field, f"{address!r} is no IPv6 address", "Such as 2001:db8:301::7") from error


def _not_a_block(block: str, error: ValueError) -> AddressError:
    if "host bits" in str(error):
        network = IPv4Network(block, strict=False) if "." in block else IPv6Network(block, strict=False)
        return AddressError("block", f"{block} is an address inside a block", f"Write {network}")
    return AddressError("block", f"{block!r} is no block of addresses", "Such as 192.0.2.0/26")
