"""What the server forgets: by its own watch, and never what a PC talks it into."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab_tool.settings import PROJECT

DAY = 86400
NOW = 1_800_000_000


def program() -> Any:
    """The program as it lies in the role."""
    path = PROJECT / "roles/backup_server/files/lab_backup_retention.py"
    spec = importlib.util.spec_from_file_location("lab_backup_retention", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


retention = program()


def kept(**days: int) -> dict[str, dict[str, int]]:
    """Snapshots by the days they were kept, first seen that long ago."""
    return {name: {"first": NOW - age * DAY, "kept": age * DAY} for name, age in days.items()}


def test_what_is_older_goes_and_the_newest_stays() -> None:
    assert retention.to_forget(kept(a=400, b=366, c=364, d=1), [], 365) == ["a", "b"]
    assert retention.to_forget(kept(a=400, b=390), [], 365) == ["a"]
    assert retention.to_forget({}, [], 365) == []


def test_a_strange_one_is_not_the_newest() -> None:
    """All are old; a forged one came last. The last real one stays beside it."""
    assert retention.to_forget(kept(a=400, b=390, forged=380), ["forged"], 365) == ["a"]


def test_a_date_in_the_future_is_strange_and_one_in_the_past_is_not() -> None:
    seen = kept(a=0)
    assert retention.odd({"a": NOW + DAY}, seen) == []
    assert retention.odd({"a": NOW + DAY + 1}, seen) == ["a"]
    assert retention.odd({"a": 0}, seen) == []


def test_age_is_what_the_server_watched_over() -> None:
    first = retention.grown({}, {"a": NOW - 5}, NOW, 0)
    assert first == {"a": {"first": NOW - 5, "kept": 0}}
    day = retention.grown(first, {"a": NOW - 5, "b": NOW + 99}, NOW + DAY, NOW)
    assert day["a"]["kept"] == DAY
    assert day["b"] == {"first": NOW + 99, "kept": 0}
    assert retention.grown(day, {"b": 0}, NOW + DAY, NOW + DAY) == {"b": day["b"]}


@pytest.mark.parametrize("jump", [-10 * 365 * DAY, -1, 10 * 365 * DAY])
def test_a_clock_that_jumps_ages_nothing_by_more_than_two_days(jump: int) -> None:
    seen = retention.grown(kept(a=1), {"a": NOW}, NOW + jump, NOW)
    assert DAY <= seen["a"]["kept"] <= 3 * DAY


@given(
    real=some.dictionaries(some.text("abc", min_size=1), some.integers(0, 800), min_size=1),
    forged=some.dictionaries(some.text("xyz", min_size=1), some.integers(0, 800), max_size=50),
)
def test_no_number_of_forged_ones_makes_a_real_one_go_earlier(real: dict[str, int], forged: dict[str, int]) -> None:
    among = set(retention.to_forget(kept(**{**real, **forged}), list(forged), 365))
    assert not {name for name in among if {**real, **forged}[name] <= 365}
    assert set(real) - among


def test_times_as_restic_writes_them() -> None:
    assert retention.seconds("1970-01-02T00:00:00.123456789Z") == DAY
    assert retention.seconds("1970-01-02T08:00:00.1+08:00") == DAY
    assert retention.seconds("1970-01-01T19:00:00-05:00") == DAY
