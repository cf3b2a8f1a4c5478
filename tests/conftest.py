"""Fixtures with real hosts. Tests that need them are marked `hosts`, and skipped with a reason where there are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.testbed.interruption import end_like_interrupt
from tests.testbed.room import TestRoom, build_room, default_name, reason_not_available

BuildRoom = Callable[..., TestRoom]


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, too, takes down what the fixtures built."""
    end_like_interrupt()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real hosts first: they take longest, and whoever works beside them has something left to do."""
    items.sort(key=lambda item: item.get_closest_marker("hosts") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs hosts where there are none; with LAB_REQUIRE_HOSTS=1 that is a failure."""
    if item.get_closest_marker("hosts") is None:
        return
    reason = reason_not_available()
    if not reason:
        return
    if os.environ.get("LAB_REQUIRE_HOSTS") == "1":
        pytest.fail(f"LAB_REQUIRE_HOSTS=1, but: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildRoom]:
    """`room(count, name=..., first=..., names=...)` builds a room that stands until the module's last test."""
    with ExitStack() as stack:

        def build(
            count: int, name: str = "test", first: int = 1, names: Callable[[int], str] = default_name
        ) -> TestRoom:
            folder: Path = tmp_path_factory.mktemp(f"room-{name}")
            return stack.enter_context(build_room(name, count, folder, first, names))

        yield build


@pytest.fixture(scope="module")
def four_pcs(room: BuildRoom) -> TestRoom:
    """A room of four PCs, pc01 to pc04, shared by the tests of a module: leave each as you found it."""
    return room(4)
