"""Dates and times as people type them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from lab_tool.clock import utc_text


def instant(text: str, *, end: bool = False) -> str:
    """`text` as the log writes times: from an RFC 3339 time, or a date, which is a day on this machine's calendar.

    A date means its first moment, with `end` the first moment of the day after. A time without an offset is local.
    Raises `ValueError`.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return utc_text(datetime.fromisoformat(text).astimezone())
    return utc_text(datetime.combine(day + timedelta(days=1) if end else day, time()).astimezone())
