"""A folder for a log, and a clock that goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab_tool.log.entry import Entry, Subject
from lab_tool.log.store import LogStore
from lab_tool.school.model import LogPolicy, SecondPlace
from lab_tool.settings import PROJECT, Settings

ORIGIN = "school.example/lab-log"


class Clock:
    """A second later at every look; `now` can be set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "inventory").mkdir()
    return Settings(PROJECT, tmp_path / "inventory", tmp_path / "state")


@pytest.fixture
def log(settings: Settings) -> Path:
    """The log's folder; not there yet."""
    return settings.log


@pytest.fixture
def store(log: Path, clock: Clock) -> LogStore:
    return LogStore(log, clock)


@pytest.fixture
def add(store: LogStore) -> Callable[[int], list[Entry]]:
    """Append so many entries about so many PCs."""

    def add_entries(count: int) -> list[Entry]:
        return [
            store.append(
                actor="li-na",
                kind="task.changed",
                subject=Subject(run="r-1", hosts=(f"a301-{number:02d}",), rooms=("a301",), rules=("B2",)),
                body={"task": "Linux | Upgrade"},
            )
            for number in range(count)
        ]

    return add_entries


def policy(*places: SecondPlace) -> LogPolicy:
    """A log's policy with these second places, and no keys named."""
    return LogPolicy(ORIGIN, (), places, 8)
