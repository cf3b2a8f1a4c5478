"""Who of a room hears a stream, who waits for it and who fetches."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.server.cast import Cast, CastSettings, Fetch, Wait

IMAGE, OTHER = "a" * 64, "b" * 64


@dataclass
class _Sender:
    join: Join
    receivers: int
    runs: bool = True

    def running(self) -> bool:
        return self.runs

    def stop(self) -> None:
        self.runs = False


@dataclass
class _Server:
    """A `Cast` whose clock is turned by hand and whose senders send nothing."""

    settings: CastSettings = field(default_factory=lambda: CastSettings(gather=60, streams=2))
    now: float = 1000.0
    senders: list[_Sender] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = iter(f"{number:016x}" for number in range(100))
        self.cast = Cast(self.settings, launch=self._launch, clock=lambda: self.now, name=lambda: next(names))

    def _launch(self, join: Join, receivers: int) -> _Sender:
        self.senders.append(_Sender(join, receivers))
        return self.senders[-1]

    def ask(
        self, session: str, room: str = "a301", image: str = IMAGE, expected: int = 3, lacks: float = 1.0
    ) -> object:
        return self.cast.ask(room, image, session, expected, lacks)


@pytest.fixture
def server() -> _Server:
    """An image server on which nobody has asked yet."""
    return _Server()


def test_a_room_that_is_complete_hears_one_stream_at_once(server: _Server) -> None:
    assert server.ask("pc1") == Wait(2.0)
    assert server.ask("pc2") == Wait(2.0)
    join = server.ask("pc3")
    assert join == Join("0" * 16, "239.255.70.1", 9100, IMAGE)
    assert server.ask("pc1") == join
    assert server.ask("pc2") == join
    assert [sender.receivers for sender in server.senders] == [3]


def test_who_does_not_come_is_waited_for_no_longer_than_said(server: _Server) -> None:
    server.ask("pc1")
    server.now += 50
    server.ask("pc1")
    assert server.ask("pc2") == Wait(2.0)
    server.now += 10
    assert isinstance(server.ask("pc2"), Join)
    assert [sender.receivers for sender in server.senders] == [2]


def test_who_waited_with_nobody_fetches_and_does_not_wait_again(server: _Server) -> None:
    server.ask("pc1")
    server.now += 60
    assert server.ask("pc1") == Fetch()
    assert server.ask("pc1") == Fetch()
    assert not server.senders


def test_who_has_gone_while_the_room_gathered_is_not_counted(server: _Server) -> None:
    server.ask("pc1")
    server.now += 60
    assert server.ask("pc2") == Fetch()
    assert not server.senders


def test_a_single_pc_and_one_that_lacks_little_fetch_at_once(server: _Server) -> None:
    assert server.ask("pc1", expected=1) == Fetch()
    assert server.ask("pc2", lacks=0.05) == Fetch()


def test_who_comes_late_hears_the_rest_and_fetches_what_it_lacks(server: _Server) -> None:
    join = [server.ask(f"pc{number}") for number in (1, 2, 3)][-1]
    assert server.ask("late") == join
    # Who asks again has been dropped, or could not hear it: not once more.
    assert server.ask("late") == Fetch()
    # A PC that was killed and claimed its order again is a new session.
    assert server.ask("late, started again") == join
    server.senders[0].runs = False
    assert server.ask("pc3") == Fetch()


def test_each_room_and_each_image_has_a_stream_of_its_own(server: _Server) -> None:
    joins = []
    for room, image in (("a301", IMAGE), ("a302", IMAGE)):
        joins += [server.ask(f"{room}-{number}", room, image) for number in (1, 2, 3)][-1:]
    assert [(join.group, join.port) for join in joins if isinstance(join, Join)] == [
        ("239.255.70.1", 9100),
        ("239.255.70.2", 9101),
    ]
    assert {str(stream["room"]) for stream in server.cast.streams()} == {"a301", "a302"}
    # No third one at the same time ...
    assert [server.ask(f"x{number}", "a303", OTHER) for number in (1, 2, 3)][-1] == Fetch()
    # ... and the place of one that is over is given again.
    server.senders[0].runs = False
    again = [server.ask(f"y{number}", "a303", OTHER) for number in (1, 2, 3)][-1]
    assert isinstance(again, Join)
    assert (again.port, again.image) == (9100, OTHER)


def test_without_multicast_everybody_fetches() -> None:
    server = _Server(CastSettings(streams=0))
    assert server.ask("pc1") == Fetch()


def test_stop_ends_all_streams(server: _Server) -> None:
    for number in (1, 2, 3):
        server.ask(f"pc{number}")
    server.cast.stop()
    assert not server.senders[0].runs
    assert server.cast.streams() == []
