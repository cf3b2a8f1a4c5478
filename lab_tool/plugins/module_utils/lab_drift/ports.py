"""Ports that answer to the network, with the program behind each, from the kernel's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from .findings import Finding

TABLES = ("tcp", "tcp6", "udp", "udp6")
# TCP: listening; UDP: bound, and talking to nobody in particular.
OPEN = {"tcp": "0A", "udp": "07"}
SOCKET = re.compile(r"socket:\[(\d+)\]")
RANGE = re.compile(r"(tcp|udp)/(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Port:
    """`protocol` is tcp or udp, `inode` the socket's number."""

    protocol: str
    number: int
    address: str
    inode: int


def listening(proc: Path = Path("/proc")) -> list[Port]:
    """Every port that is open beyond the PC itself. Ports that the kernel gave to a client of UDP are not meant."""
    first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    found = []
    for table in TABLES:
        path = proc / "net" / table
        if path.exists():
            # /proc/net is that of the process that reads, in its network namespace.
            found += read(table, path.read_text(encoding="ascii"), range(int(first), int(last) + 1))
    return found


def read(table: str, text: str, of_clients: range) -> list[Port]:
    """The open ports in one of the kernel's tables, but those on loopback."""
    protocol = table[:3]
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        where, number = _address(address), int(port, 16)
        client = protocol == "udp" and number in of_clients
        if fields[3] == OPEN[protocol] and not where.is_loopback and not client:
            found.append(Port(protocol, number, str(where), int(fields[9])))
    return found


def beyond(ports: Sequence[Port], allowed: Sequence[str], programs: Mapping[int, str]) -> Iterator[Finding]:
    """Those that no item of `allowed` (`tcp/22`, `udp/5000-5010`) names. Raises `ValueError` for a bad item."""
    ranges = [_range(item) for item in allowed]
    where: dict[tuple[str, int], list[Port]] = {}
    for port in ports:
        if not any(port.protocol == protocol and port.number in numbers for protocol, numbers in ranges):
            where.setdefault((port.protocol, port.number), []).append(port)
    for (protocol, number), same in where.items():
        names = sorted({programs.get(port.inode, "unknown program") for port in same})
        at = sorted({port.address for port in same})
        yield Finding("port", "closed", f"{', '.join(names)} on {', '.join(at)}", f"{protocol}/{number}")


def holders(proc: Path = Path("/proc")) -> dict[int, str]:
    """The name of a program by the number of each socket it holds; no arguments, which may hold secrets."""
    found = {}
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            for descriptor in (process / "fd").iterdir():
                socket = SOCKET.fullmatch(str(descriptor.readlink()))
                if socket and (int(socket[1]) not in found or process.name != "1"):
                    # systemd holds the sockets of the services it starts too: the service tells more.
                    found[int(socket[1])] = name
        except OSError:
            # Ended meanwhile.
            continue
    return found


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address as the kernel writes it: 32-bit words in the machine's order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    address = ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _range(item: str) -> tuple[str, range]:
    found = RANGE.fullmatch(item)
    if not found:
        raise ValueError(f"{item!r} is no port such as tcp/22 or udp/5000-5010")
    first = int(found[2])
    return found[1], range(first, int(found[3] or first) + 1)
