"""Following an order: what is shown, what ends it, and when it is given up."""

from __future__ import annotations

from typing import Any, cast
from unittest.mock import Mock

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.orders.follow import GaveUpError, Patience, Step, follow
from lab_tool.imaging.orders.server import ImageServer, Standing
from lab_tool.plugins.action import lab_image_follow as plugin
from lab_tool.plugins.action import lab_image_start as start

PATIENCE = Patience(asks=60, silent=30, between=2)


class FakeServer:
    """Answers one after the other, the last one for ever; an exception is raised."""

    def __init__(self, *answers: Standing | LabError) -> None:
        self._answers = iter(answers)
        self._last = answers[-1]

    def standing(self, order: str) -> Standing:
        """The next answer."""
        answer = next(self._answers, self._last)
        if isinstance(answer, LabError):
            raise answer
        return answer


def watch(*answers: Standing | LabError) -> tuple[Standing, list[Step]]:
    """Follow an order that stands so, with a clock that goes on by what is slept."""
    moment = [0.0]
    steps: list[Step] = []

    def sleep(seconds: float) -> None:
        moment[0] += seconds

    server = cast(ImageServer, FakeServer(*answers))
    return follow(server, "o-1", PATIENCE, steps.append, lambda: moment[0], sleep), steps


def at_work(state: str, done: int = 0, total: int = 0, age: int = 0) -> Standing:
    """An order that a PC claimed."""
    return Standing("claimed", {"state": state, "done": done, "total": total, "age": age})


def test_every_step_on_the_way_to_the_end() -> None:
    ended, steps = watch(
        Standing("open"), at_work("receiving", 10, 100), at_work("receiving", 50, 100), Standing("imaged")
    )
    assert ended.state == "imaged"
    assert [(step.state, step.done, step.rate) for step in steps] == [
        ("waking", 0, 0),
        ("receiving", 10, 0),
        ("receiving", 50, 20),
    ]


def test_a_pc_that_never_asks_is_given_up_as_one_that_was_not_there() -> None:
    with pytest.raises(GaveUpError) as gave_up:
        watch(Standing("open"))
    assert not gave_up.value.asked


def test_a_pc_that_falls_silent_is_given_up() -> None:
    with pytest.raises(GaveUpError, match="receiving") as gave_up:
        watch(at_work("receiving", age=31))
    assert gave_up.value.asked


def test_a_server_that_comes_back_is_asked_again() -> None:
    trouble = LabError("gone")
    assert watch(at_work("receiving"), trouble, trouble, Standing("imaged"))[0].state == "imaged"


def test_a_server_that_stays_away_is_given_up() -> None:
    with pytest.raises(GaveUpError, match="gone"):
        watch(at_work("receiving"), LabError("gone"))


@pytest.mark.parametrize("state", ["failed", "withdrawn", "expired", ""])
def test_what_has_ended_is_not_waited_for(state: str) -> None:
    assert watch(Standing(state))[0].state == state


def test_a_pc_that_reports_nonsense_is_shown_as_nothing() -> None:
    _, steps = watch(Standing("claimed", {"state": "receiving", "done": "x", "total": -1}), Standing("failed"))
    assert steps == [Step("receiving")]


@pytest.mark.parametrize(("asked", "end"), [(True, "failed"), (False, "unreachable")])
def test_an_order_that_can_t_be_taken_back_is_said_to_hold(
    monkeypatch: pytest.MonkeyPatch, asked: bool, end: str
) -> None:
    """A server that fell silent does not hear that the order is given up either."""

    def silent(*_: object) -> None:
        raise LabError("the image server does not answer")

    def give_up(*_: object) -> Standing:
        raise GaveUpError("the image server was silent for too long", asked=asked)

    monkeypatch.setenv("LAB_STATE", "/nowhere")
    monkeypatch.setattr(ImageServer, "command", silent)
    monkeypatch.setattr(ImageServer, "known", lambda settings, name, _: ImageServer(settings, name, Mock()))
    monkeypatch.setattr(plugin, "follow", give_up)
    inputs = {"server": "srv", "address": "10.3.1.1", "order": "o-1", "asks": "1", "silent": "1"}
    task = Mock(args=inputs, check_mode=False, async_val=0, diff=False)
    action = plugin.ActionModule(task, Mock(), Mock(check_mode=False), Mock(), Mock(), Mock())
    told: dict[str, Any] = action.run(None, {"inventory_hostname": "a301-07"})
    assert told[end] is True
    assert "silent for too long; its order o-1 could not be taken back and holds until its end" in told["msg"]


def test_the_order_of_a_pc_that_could_not_be_woken_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody follows it: it must not wait until somebody switches the PC on."""
    asked: list[str] = []

    def refuse(_: ImageServer, kind: str, *__: object) -> None:
        asked.append(kind)
        if kind == "wake":
            raise LabError("the image server refused")

    monkeypatch.setenv("LAB_STATE", "/nowhere")
    monkeypatch.setattr(ImageServer, "command", refuse)
    monkeypatch.setattr(ImageServer, "known", lambda settings, name, _: ImageServer(settings, name, Mock()))
    monkeypatch.setattr(start.ActionModule, "_restart", lambda *_: {"unreachable": True})
    inputs = {"server": "srv", "address": "10.3.1.1", "order": "o-1", "logged_in": "defer", "mac": "02:00:00:00:00:07"}
    task = Mock(args=inputs, check_mode=False, async_val=0, diff=False)
    told = start.ActionModule(task, Mock(), Mock(check_mode=False), Mock(), Mock(), Mock()).run(None, {})
    assert (told["failed"], told["msg"], asked) == (True, "not woken: the image server refused", ["wake", "withdraw"])
