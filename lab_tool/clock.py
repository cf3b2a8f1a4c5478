"""Time as it is written down: UTC, RFC 3339, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, in UTC. Handed to the core as a function; nothing there reads the clock unasked."""
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """`2026-11-24T10:20:30.123456Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_utc(text: str) -> datetime:
    """The moment that `utc_text` wrote. Raises `ValueError`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
