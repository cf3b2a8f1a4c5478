"""When something may be run: once between two moments, or every week between two times of the week."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lab_tool.errors import UsageError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CHINESE_DAYS = "一二三四五六日天"
_POINT = r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*|(?:周|星期)([一二三四五六日天]))\s*([01]?\d|2[0-3]):([0-5]\d)"
_WEEKLY = re.compile(rf"\s*{_POINT}\s*-\s*{_POINT}\s*", re.IGNORECASE)
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment (included) to a moment (not included), both in UTC."""

    opens: datetime
    closes: datetime

    def holds(self, now: datetime) -> bool:
        """Whether `now` is inside."""
        return self.opens <= now < self.closes


@dataclass(frozen=True, slots=True)
class Weekly:
    """A span of every week, in minutes since Monday 00:00 by the clock on the wall; `closes` may be before `opens`."""

    opens: int
    closes: int

    def __str__(self) -> str:
        return f"{_point(self.opens)}-{_point(self.closes)}"


def parse_window(text: str, zone: ZoneInfo) -> Span:
    """The span of `2026-11-28 20:00/2026-11-29 06:00`, times by the clock of the school. Raises `UsageError`."""
    parts = text.split("/")
    if len(parts) != 2:
        raise UsageError(f"no window: {text!r}. Write it as '2026-11-28 20:00/2026-11-29 06:00'")
    span = Span(*(_moment(part.strip(), zone) for part in parts))
    if span.closes <= span.opens:
        raise UsageError(f"the window {text} ends before it begins")
    return span


def parse_weekly(text: str) -> Weekly:
    """The span of `Sat 20:00-Sun 06:00` (or `周六 20:00-周日 06:00`). Raises `UsageError`."""
    found = _WEEKLY.fullmatch(text)
    if not found:
        raise UsageError(f"no weekly window: {text!r}. Write it as 'Sat 20:00-Sun 06:00'")
    fields = found.groups()
    weekly = Weekly(_minutes(*fields[:4]), _minutes(*fields[4:]))
    if weekly.opens == weekly.closes:
        raise UsageError(f"the weekly window {text} opens when it closes")
    return weekly


def current_or_next(weekly: Weekly, zone: ZoneInfo, now: datetime) -> Span:
    """The occurrence that holds `now`, or else the next one.

    Its ends are moments: where clocks are set back, a time that comes twice is the first of the two; where they are
    set forward, a time that is skipped is as long after midnight as it would have been.
    """
    today = now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    for week in range(-1, 4):
        first = monday + timedelta(weeks=week)
        # One that runs over the end of the week closes in the next.
        last = first + timedelta(weeks=1) if weekly.closes < weekly.opens else first
        span = Span(_at(first, weekly.opens, zone), _at(last, weekly.closes, zone))
        # Neither what is over, nor what was skipped with the clocks.
        if span.closes > now and span.closes > span.opens:
            return span
    raise AssertionError("four weeks hold no window of the week")


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Midnight after `day` in that zone, in UTC."""
    return _at(day + timedelta(days=1), 0, zone)


def local_text(moment: datetime, zone: ZoneInfo) -> str:
    """`Sat 2026-11-28 20:00`, by the clock of the school."""
    local = moment.astimezone(zone)
    return f"{DAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"no moment: {text!r}. Write it as '2026-11-28 20:00'") from None
    if moment.tzinfo is None:
        local = moment.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
            raise UsageError(f"{text} does not exist in {zone.key}: clocks are set forward over it")
        moment = local
    return moment.astimezone(UTC)


def _at(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """The moment when the clock on the wall shows that many minutes after midnight of `day`, in UTC."""
    days, rest = divmod(minutes, MINUTES_A_DAY)
    local = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), tzinfo=zone)
    return local.astimezone(UTC)


def _minutes(english: str | None, chinese: str, hour: str, minute: str) -> int:
    # Sunday has two names in Chinese.
    day = DAYS.index(english[:3].capitalize()) if english else min(CHINESE_DAYS.index(chinese), len(DAYS) - 1)
    return day * MINUTES_A_DAY + int(hour) * 60 + int(minute)


def _point(minutes: int) -> str:
    days, rest = divmod(minutes, MINUTES_A_DAY)
    return f"{DAYS[days]} {rest // 60:02d}:{rest % 60:02d}"
