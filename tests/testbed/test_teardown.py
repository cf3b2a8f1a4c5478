"""A room leaves nothing behind: taken down, interrupted, or its builder killed."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.settings import PROJECT
from tests.testbed import registry, teardown
from tests.testbed.errors import RoomError
from tests.testbed.owner import Owner
from tests.testbed.programs import start
from tests.testbed.registry import Record
from tests.testbed.room import build_room
from tests.testbed.traces import machine_traces, traces

pytestmark = pytest.mark.hosts

# A process with a room of two, as a test run or a demo is: it says "up" and waits.
_BUILDER = f"""
import sys, time
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from tests.testbed.interruption import end_like_interrupt
from tests.testbed.room import build_room
end_like_interrupt()
with build_room("builder", 2, Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(60)
"""


def rooms_of(pid: int) -> list[Record]:
    """The rooms that a process has."""
    return [record for record in registry.records() if record.owner and record.owner.pid == pid]


def wait_until(holds: Callable[[], object], patience: float = 30.0) -> None:
    """Wait until it holds, for `patience` seconds at most."""
    limit = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_down_leaves_nothing_and_twice_is_as_good_as_once(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    room = build_room("gone", 2, folder)
    assert len(traces(room.record.place)) > 10
    room.hosts[0].fill_disk(1024**3 - 64 * 1024**2)
    room.hosts[1].off()
    room.down()
    room.down()
    assert traces(room.record.place) == []
    assert not folder.exists()
    with registry.machine_lock():
        assert registry.records() or machine_traces() == []


def test_a_failed_build_leaves_nothing_but_what_the_hosts_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Record] = []
    reserve = registry.reserve

    def note(name: str, folder: Path, hosts: dict[int, str]) -> Record:
        built.append(reserve(name, folder, hosts))
        return built[-1]

    monkeypatch.setattr(registry, "reserve", note)
    monkeypatch.setattr("tests.testbed.room._PATIENCE", 0.0)
    monkeypatch.setattr("tests.testbed.room._PATIENCE_PER_HOST", 0.0)
    with pytest.raises(RoomError, match=r"no SSH from pc01, pc02; see .*console"):
        build_room("failed", 2, tmp_path / "room")
    assert traces(built[0].place) == []
    assert [path.name for path in (tmp_path / "room").iterdir() if not path.name.startswith(".")] == ["console"]
    monkeypatch.undo()
    with build_room("again", 1, tmp_path / "room"):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3])
def test_an_interrupted_builder_takes_its_room_along(tmp_path: Path, number: int, seconds: float) -> None:
    builder = start(sys.executable, "-c", _BUILDER, tmp_path / "room")
    wait_until(lambda: rooms_of(builder.pid))
    (record,) = rooms_of(builder.pid)
    time.sleep(seconds)
    builder.send_signal(number)
    builder.communicate(timeout=30)
    assert traces(record.place) == []
    assert not (tmp_path / "room").exists()


def test_what_a_killed_builder_left_is_known_and_goes_with_the_next_room(tmp_path: Path) -> None:
    builder = start(sys.executable, "-c", _BUILDER, tmp_path / "room")
    assert builder.stdout is not None
    assert builder.stdout.readline() == "up\n"
    (record,) = rooms_of(builder.pid)
    # Nobody else, who may build a room just now, is to take it down before it is looked at.
    with registry.machine_lock():
        builder.kill()
        builder.communicate()
        assert record.abandoned
        assert any("process" in trace for trace in traces(record.place))
    with build_room("next", 1, tmp_path / "next") as room:
        assert room.record.slot != record.slot
        assert traces(record.place) == []
    assert not (tmp_path / "room").exists()


def test_two_builders_at_once_get_rooms_of_their_own(tmp_path: Path) -> None:
    builders = [start(sys.executable, "-c", _BUILDER, tmp_path / name) for name in ("one", "two")]
    for builder in builders:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "up\n"
    one, two = (rooms_of(builder.pid)[0] for builder in builders)
    assert not one.place.network.overlaps(two.place.network)
    for builder in builders:
        builder.terminate()
        builder.communicate(timeout=30)
    assert traces(one.place) == traces(two.place) == []


def test_a_room_is_not_taken_for_one_that_had_its_number(tmp_path: Path) -> None:
    with build_room("stays", 1, tmp_path / "room") as room:
        earlier = Record("0" * 32, room.record.slot, "earlier", tmp_path, {}, Owner.me())
        teardown.remove(earlier)
        assert room.hosts[0].is_on


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("mine\n", encoding="ascii")
    with pytest.raises(RoomError, match="not empty"):
        build_room("refused", 1, tmp_path)
    assert (tmp_path / "known_hosts").read_text(encoding="ascii") == "mine\n"
