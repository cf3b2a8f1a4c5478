"""What is read back from a PC after a scan, once as values for the log and once as what a verdict needs."""

from __future__ import annotations

import time
from typing import Any

from . import quarantine, signatures
from .settings import SettingsError, load
from .verdict import name

# How many of each are told in the log; all are counted.
TOLD = 20
_COUNTS = ("files", "size", "before", "seconds", "allowed", "foreign")


def read(scan: dict[str, Any], now: int) -> tuple[str, list[str], dict[str, Any]]:
    """Why the signatures are not good (empty: they are), finds that are not safely put away, and the values."""
    kept = quarantine.records()
    stale, known = _signatures(now)
    found = scan.get("found", [])
    values: dict[str, Any] = {
        "signatures": known,
        "engine_version": scan.get("engine_version", ""),
        "clock_off": int(time.time()) - now,
        "complete": scan.get("complete", False),
        "pass_started": scan.get("pass_started", ""),
        "scanned": {count: scan.get(count, 0) for count in _COUNTS},
        "unreadable": scan.get("unreadable", {"count": 0, "some": []}),
        "partial": scan.get("partial", {"count": 0, "some": []}),
        "found": found[:TOLD],
        "found_count": len(found),
        "quarantine": [record.as_json() for record in kept[:TOLD]],
        "quarantine_count": len(kept),
    }
    return stale, _unsafe(found, kept), values


def _signatures(now: int) -> tuple[str, dict[str, Any]]:
    try:
        known = signatures.look(load().wanted, now)
    except SettingsError as error:
        return str(error), {}
    return known.trouble, known.as_json()


def _unsafe(found: list[dict[str, Any]], kept: list[quarantine.Record]) -> list[str]:
    records = {record.id: record for record in kept}
    unsafe = []
    for find in found:
        record = records.get(find["quarantine"])
        why = find["trouble"] or (quarantine.trouble(record) if record else "it is not in quarantine")
        if why:
            unsafe.append(f"{name(find)}: {why}")
    return unsafe
