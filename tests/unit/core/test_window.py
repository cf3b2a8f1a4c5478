"""Windows by the clock of the school: over midnight, over the end of the week, and when clocks are set."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.core.window import (
    Weekly,
    current_or_next,
    end_of_day,
    local_text,
    parse_weekly,
    parse_window,
)
from lab_tool.errors import UsageError

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
WEEK = 7 * 24 * 60


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestOnce:
    def test_by_the_clock_of_the_school(self) -> None:
        span = parse_window("2026-11-28 20:00/2026-11-29T06:00", SHANGHAI)
        assert (span.opens, span.closes) == (utc("2026-11-28 12:00"), utc("2026-11-28 22:00"))
        assert not span.holds(utc("2026-11-28 11:59:59"))
        assert span.holds(utc("2026-11-28 12:00"))
        assert not span.holds(utc("2026-11-28 22:00"))

    def test_a_zone_that_is_written_counts(self) -> None:
        assert parse_window("2026-11-28T20:00+00:00/2026-11-29 06:00", SHANGHAI).opens == utc("2026-11-28 20:00")

    def test_over_the_night_when_clocks_are_set_back(self) -> None:
        span = parse_window("2026-10-24 22:00/2026-10-25 06:00", BERLIN)
        assert span.closes - span.opens == timedelta(hours=9)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "20:00/06:00",
            "2026-11-28 20:00",
            "2026-11-28 20:00-2026-11-29 06:00",
            "2026-11-28 20:00/2026-11-29 06:00/x",
            "2026-11-29 06:00/2026-11-28 20:00",
            "2026-11-28 20:00/2026-11-28 20:00",
            "2026-02-30 20:00/2026-03-01 06:00",
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError):
            parse_window(text, SHANGHAI)

    def test_a_time_that_is_skipped(self) -> None:
        with pytest.raises(UsageError, match=r"2026-03-29 02:30 does not exist in Europe/Berlin"):
            parse_window("2026-03-29 02:30/2026-03-29 06:00", BERLIN)


class TestWeekly:
    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("Sat 20:00-Sun 06:00", "Sat 20:00-Sun 06:00"),
            ("saturday 20:00 - sunday 6:00", "Sat 20:00-Sun 06:00"),
            ("周六 20:00-周日 06:00", "Sat 20:00-Sun 06:00"),
            ("星期六20:00-星期天06:00", "Sat 20:00-Sun 06:00"),
            ("Sun 22:00-Mon 05:30", "Sun 22:00-Mon 05:30"),
        ],
    )
    def test_as_people_write_it(self, text: str, canonical: str) -> None:
        assert str(parse_weekly(text)) == canonical
        assert str(parse_weekly(canonical)) == canonical

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Sat",
            "Sat 20:00",
            "Sat 24:00-Sun 06:00",
            "Sat 20:60-Sun 06:00",
            "Xxx 20:00-Sun 06:00",
            "20:00-06:00",
            "Sat 20:00-Sat 20:00",
            "Sat 20:00-Sun 06:00 and more",
        ],
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError):
            parse_weekly(text)

    def test_now_or_next(self) -> None:
        weekly = parse_weekly("Sat 20:00-Sun 06:00")
        for now, opens in (
            ("2026-11-24 10:00", "2026-11-28 12:00"),
            ("2026-11-28 11:59", "2026-11-28 12:00"),
            ("2026-11-28 21:59", "2026-11-28 12:00"),
            ("2026-11-28 22:00", "2026-12-05 12:00"),
        ):
            span = current_or_next(weekly, SHANGHAI, utc(now))
            assert (span.opens, span.closes) == (utc(opens), utc(opens) + timedelta(hours=10))

    def test_over_the_end_of_the_week(self) -> None:
        weekly = parse_weekly("Sun 22:00-Mon 05:00")
        # Sunday 23:00 and Monday 04:00 in Shanghai.
        for now in ("2026-11-29 15:00", "2026-11-29 20:00"):
            span = current_or_next(weekly, SHANGHAI, utc(now))
            assert span.holds(utc(now))
            assert span.opens == utc("2026-11-29 14:00")
        assert not current_or_next(weekly, SHANGHAI, utc("2026-11-29 21:00")).holds(utc("2026-11-29 21:00"))

    def test_most_of_the_week(self) -> None:
        weekly = parse_weekly("Mon 08:00-Mon 07:00")
        assert current_or_next(weekly, SHANGHAI, utc("2026-11-29 20:00")).holds(utc("2026-11-29 20:00"))
        assert not current_or_next(weekly, SHANGHAI, utc("2026-11-29 23:30")).holds(utc("2026-11-29 23:30"))

    def test_when_clocks_are_set_back_it_does_not_open_again(self) -> None:
        weekly = parse_weekly("Sat 20:00-Sun 02:30")
        span = current_or_next(weekly, BERLIN, utc("2026-10-24 20:00"))
        assert (span.opens, span.closes) == (utc("2026-10-24 18:00"), utc("2026-10-25 00:30"))
        # 02:15 for the second time.
        assert not current_or_next(weekly, BERLIN, utc("2026-10-25 01:15")).holds(utc("2026-10-25 01:15"))

    def test_when_clocks_are_set_forward(self) -> None:
        span = current_or_next(parse_weekly("Sat 20:00-Sun 06:00"), BERLIN, utc("2026-03-28 20:00"))
        assert span.closes - span.opens == timedelta(hours=9)
        # A window that is skipped with the clocks gives way to the next.
        span = current_or_next(parse_weekly("Sun 02:30-Sun 03:10"), BERLIN, utc("2026-03-28 20:00"))
        assert span.opens == utc("2026-04-05 00:30")

    @given(
        opens=st.integers(0, WEEK - 1),
        length=st.integers(1, WEEK - 1),
        minutes=st.integers(0, 2 * 365 * 1440),
        zone=st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/St_Johns")]),
    )
    def test_is_what_the_clock_on_the_wall_says(self, opens: int, length: int, minutes: int, zone: ZoneInfo) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
        weekly = Weekly(opens, (opens + length) % WEEK)
        span = current_or_next(weekly, zone, now)
        assert span.opens < span.closes
        assert span.closes > now
        assert span.opens - now < timedelta(days=14, hours=2)
        local = now.astimezone(zone)
        change_near = any((local + timedelta(days=days)).utcoffset() != local.utcoffset() for days in range(-8, 9))
        if not change_near:
            minute = local.weekday() * 1440 + local.hour * 60 + local.minute
            inside = (minute - opens) % WEEK < length
            assert span.holds(now) is inside


def test_the_end_of_a_day() -> None:
    assert end_of_day(date(2027, 1, 31), SHANGHAI) == utc("2027-01-31 16:00")
    assert end_of_day(date(2026, 10, 25), BERLIN) == utc("2026-10-25 23:00")


def test_how_a_moment_is_told() -> None:
    assert local_text(utc("2026-11-28 12:00"), SHANGHAI) == "Sat 2026-11-28 20:00"
