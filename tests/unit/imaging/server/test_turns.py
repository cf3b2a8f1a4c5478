"""Thirty PCs, four that may fetch at a time: everybody's turn comes, also after a kill; the dead hold up nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab_tool.imaging.server.cast import CastSettings
from lab_tool.imaging.server.slots import SILENCE, Slots
from tests.unit.imaging.server.conftest import PCS, Daemon


@pytest.fixture
def sessions(daemon: Daemon) -> Iterator[list[str]]:
    """Thirty PCs that claimed their orders."""
    for seat in range(1, PCS + 1):
        daemon.give(daemon.order(seat))
    yield [daemon.session(seat) for seat in range(1, PCS + 1)]


def test_all_are_served_in_turn(daemon: Daemon, sessions: list[str]) -> None:
    first = [daemon.next(session)[1] for session in sessions]
    assert [answer["do"] for answer in first] == ["fetch"] * 4 + ["wait"] * 26
    assert [answer["position"] for answer in first[4:]] == list(range(1, 27))
    served, waiting = sessions[:4], sessions[4:]
    while waiting:
        # The last in the queue asks first, and gets nothing by it.
        daemon.report(served[-1], "verifying")
        daemon.clock.now += 1
        granted = [one for one in reversed(waiting) if daemon.next(one)[1]["do"] == "fetch"]
        assert granted == [waiting[0]]
        served.append(waiting.pop(0))
    assert served == sessions
    assert daemon.ask("GET", "/api/status")[1]["fetching"] == 4


def test_turns_survive_a_kill(daemon: Daemon, sessions: list[str]) -> None:
    for session in sessions[:6]:
        daemon.next(session)
    daemon.restart()
    # One that waited asks first; the four that fetch are remembered.
    assert daemon.next(sessions[5])[1]["do"] == "wait"
    assert [daemon.next(session)[1]["do"] for session in sessions[:4]] == ["fetch"] * 4
    daemon.report(sessions[0], "failed")
    assert daemon.next(sessions[5])[1]["do"] == "fetch"


def test_a_pc_that_died_gives_its_turn_away(daemon: Daemon, sessions: list[str]) -> None:
    for session in sessions[:6]:
        daemon.next(session)
    daemon.clock.now += SILENCE / 2
    for session in (*sessions[1:4], sessions[5]):
        daemon.report(session, "receiving")
    daemon.clock.now += SILENCE / 2 + 1
    # The first of the four and the first in the queue were silent.
    assert daemon.next(sessions[5])[1]["do"] == "fetch"
    assert daemon.next(sessions[4])[1] == {"do": "wait", "position": 1, "seconds": 5}


def test_a_pc_that_only_says_that_it_is_there_gives_its_turn_away(daemon: Daemon, sessions: list[str]) -> None:
    for session in sessions[:5]:
        daemon.next(session)
    for step in range(4):
        daemon.clock.now += SILENCE / 2
        daemon.report(sessions[0], "receiving", bytes=7)
        for session in sessions[1:4]:
            daemon.report(session, "receiving", bytes=step)
        said = daemon.next(sessions[4])[1]["do"]
    assert said == "fetch"
    # The others, who receive, keep theirs.
    assert daemon.next(sessions[5])[1]["position"] == 1


def test_who_lacks_little_fetches_and_waits_for_nobody(daemon: Daemon, sessions: list[str]) -> None:
    daemon.cast = CastSettings(gather=3600)
    daemon.restart()
    assert daemon.next(sessions[0], lacks=50)[1] == {"do": "fetch"}
    asked: list[dict[str, Any]] = [{"lacks": 1000}, {"lacks": 300}, {}]
    for more in asked:
        assert daemon.next(sessions[1], **more)[1] == {"do": "wait", "position": 0, "seconds": 2.0}
    for lacks in (1001, -1, "all", None):
        assert daemon.next(sessions[1], lacks=lacks)[0] == 400


def test_a_pc_that_starts_again_does_not_hold_two(daemon: Daemon, sessions: list[str]) -> None:
    for session in sessions[:5]:
        daemon.next(session)
    again = daemon.session(1)
    assert daemon.next(sessions[4])[1]["do"] == "fetch"
    assert daemon.next(again)[1]["do"] == "wait"


def test_one_that_asks_and_asks_keeps_its_place() -> None:
    slots = Slots(1, lambda: 0.0)
    assert [slots.ask(who) for who in ("a", "b", "c", "b", "c", "a")] == [0, 1, 2, 1, 2, 0]
    slots.free("a")
    assert [slots.ask(who) for who in ("c", "b", "c")] == [2, 0, 1]
