"""Whether a PC that was imaged is the one it should be. Pure: what was read against what was wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """What the PC says of itself: its record of the image, name, addresses by MAC, and the host keys it shows."""

    record: Mapping[str, object]
    hostname: str
    addresses: Sequence[tuple[str, str]]
    host_keys: Sequence[str]


def judge(wanted: Mapping[str, str], keys_told: Sequence[str], found: Found) -> tuple[str, str]:
    """Outcome and reason; `wanted` is image, order, host, address, mac and cells."""
    for name in ("image", "order", "host", "cells"):
        said = str(found.record.get(name, ""))
        if said != wanted[name] or not said:
            return "failed", f"the PC says {name} {said[:64] or 'nothing'}, and not {wanted[name][:64]}"
    if found.hostname != wanted["host"]:
        return "failed", f"the PC is called {found.hostname}, and not {wanted['host']}"
    if (wanted["mac"].lower(), wanted["address"]) not in [(mac.lower(), text) for mac, text in found.addresses]:
        seen = ", ".join(f"{text} on {mac}" for mac, text in found.addresses) or "none"
        return "failed", f"the PC has not {wanted['address']} on {wanted['mac']}: it has {seen}"
    # The keys that the deploy system made: with others, somebody else's disk has started.
    if not keys_told or sorted(map(_key, keys_told)) != sorted(map(_key, found.host_keys)):
        return "failed", "the PC's host keys are not those that were made on it"
    return "ok", ""


def _key(line: str) -> str:
    return " ".join(line.split()[:2])
