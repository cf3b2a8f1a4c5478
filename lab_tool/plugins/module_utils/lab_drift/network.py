"""Addresses, MAC, routes and name servers of a PC, from `ip -json` and the resolver's files; pure but for `servers`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .findings import Finding

# Where the stub of systemd-resolved has its servers from.
RESOLVERS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")


@dataclass(frozen=True)
class Address:
    """One global address. `made_up` is an IPv6 address that the PC made itself from what a router said."""

    interface: str
    mac: str
    text: str
    made_up: bool


@dataclass(frozen=True)
class Wanted:
    """What the inventory says; what is empty is not compared."""

    address: str
    address6: str
    mac: str
    gateways: Sequence[str]
    name_servers: Sequence[str]


def addresses(said: str) -> list[Address]:
    """From `ip -json address show`. Raises `ValueError` for what is no such answer."""
    try:
        return [
            Address(
                str(link["ifname"]),
                str(link.get("address", "")).lower(),
                str(each["local"]),
                each.get("family") == "inet6" and bool({"dynamic", "temporary", "mngtmpaddr"} & each.keys()),
            )
            for link in json.loads(said)
            for each in link.get("addr_info", ())
            if each.get("scope") == "global"
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"ip did not answer as expected: {error!r}") from error


def gateways(*said: str) -> list[str]:
    """From `ip -json route show default`, once for each family. Raises `ValueError`."""
    try:
        routes = [route for text in said if text.strip() for route in json.loads(text)]
        return sorted({str(route.get("gateway", route.get("dev", ""))) for route in routes})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"ip did not answer as expected: {error!r}") from error


def servers(paths: Sequence[str] = RESOLVERS) -> list[str]:
    """The name servers in use, in their order."""
    for path in paths:
        if Path(path).exists():
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
            return [words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver"]
    return []


def compare(
    wanted: Wanted, found: Sequence[Address], routes: Sequence[str], dns: Sequence[str], ignored: Sequence[str]
) -> Iterator[Finding]:
    """What is not as the inventory has it; `ignored`: patterns of interfaces whose further addresses don't matter."""
    own = [each for each in found if each.text == wanted.address]
    listed = ", ".join(f"{each.text} on {each.interface}" for each in found if not each.made_up)
    if not own:
        yield Finding("address", wanted.address, listed or "none")
    if wanted.address6 and wanted.address6 not in [each.text for each in found]:
        yield Finding("address", wanted.address6, listed or "none", "ipv6")
    if own and not wanted.mac:
        yield Finding("mac_unknown", "a MAC in the inventory", own[0].mac)
    if own and wanted.mac and own[0].mac != wanted.mac.lower():
        yield Finding("mac", wanted.mac, own[0].mac)
    for each in found:
        beyond = each.text not in (wanted.address, wanted.address6) and not each.made_up
        if beyond and not any(fnmatchcase(each.interface, pattern) for pattern in ignored):
            yield Finding("address_beyond", "no other address", f"{each.text} on {each.interface}", each.text)
    if wanted.gateways and sorted(wanted.gateways) != list(routes):
        yield Finding("gateway", ", ".join(sorted(wanted.gateways)), ", ".join(routes) or "none")
    if wanted.name_servers and sorted(wanted.name_servers) != sorted(dns):
        yield Finding("name_servers", ", ".join(wanted.name_servers), ", ".join(dns) or "none")
