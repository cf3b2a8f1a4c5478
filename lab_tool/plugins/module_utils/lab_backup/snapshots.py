"""Snapshots as restic lists them; pure."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from typing import Any


def seconds(text: str) -> int:
    """Seconds of a time as restic writes it: `2026-11-24T10:20:30.123456789Z`, or with an offset."""
    moment = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    offset = text[19:].lstrip(".0123456789")
    if offset in ("", "Z"):
        return moment
    shift = int(offset[1:3]) * 3600 + int(offset[4:6]) * 60
    return moment - shift if offset[0] == "+" else moment + shift


def utc(moment: int) -> str:
    """Seconds as UTC text; empty for none."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) if moment else ""


def by_id(snapshots: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any] | None:
    """The snapshot of that id, long or short; `latest` is the newest."""
    if wanted == "latest":
        return snapshots[-1] if snapshots else None
    found = [one for one in snapshots if str(one["id"]).startswith(wanted)] if len(wanted) >= 8 else []
    return found[0] if len(found) == 1 else None


def present(snapshots: Sequence[Mapping[str, Any]], now: int, limit: int = 300) -> list[Mapping[str, Any]]:
    """Those that are not dated in the future: a forged one is not to be taken for the newest."""
    ahead = future(snapshots, now, limit)
    return [one for one in snapshots if str(one["short_id"]) not in ahead]


def future(snapshots: Sequence[Mapping[str, Any]], now: int, limit: int) -> list[str]:
    """The short ids of snapshots dated later than now; `limit`: how many seconds clocks may differ."""
    return [str(one["short_id"]) for one in snapshots if seconds(str(one["time"])) > now + limit]
