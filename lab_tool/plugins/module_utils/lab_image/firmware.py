"""The firmware's list of what to start from, as `efibootmgr` prints it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

# `Boot0003* UEFI PXEv4 (MAC:525400123456)`, `Boot0007* EFI Network 0 for IPv4 (52-54-...)`
_ENTRY = re.compile(r"Boot([0-9A-Fa-f]{4})\*? (.*)")
_NETWORK = re.compile(r"PXE|IPv4|Network|LAN", re.IGNORECASE)
_NOT_THIS = re.compile(r"HTTP|IPv6", re.IGNORECASE)


def network_entry(said: str, mac: str) -> str:
    """The number of the entry that starts from the network over IPv4, of the card `mac` if it names cards; or empty."""
    entries = [(found[1], found[2]) for found in map(_ENTRY.match, said.splitlines()) if found]
    network = [(number, text) for number, text in entries if _NETWORK.search(text) and not _NOT_THIS.search(text)]
    return _of_card(network, mac) or (network[0][0] if network else "")


def _of_card(entries: Sequence[tuple[str, str]], mac: str) -> str:
    digits = mac.replace(":", "").lower()
    named = (number for number, text in entries if digits and digits in re.sub("[^0-9a-f]", "", text.lower()))
    return next(named, "")
