"""PCs are switched on one after the other, also those that a killed server had yet to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from lab_tool.imaging.server.settings import ServerSettings
from lab_tool.imaging.server.wake import Wake, magic

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


class StoppedError(Exception):
    """The server is killed."""


def woken(path: Path, interval: float, add: Sequence[str], most: int, fails: int = 0) -> list[str]:
    """What a server does until it is killed: MACs that it sent to, and how long it then waited."""
    done: list[str] = []
    left = [fails]

    def send(mac: str) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError("the network is down")
        done.append(mac)

    async def sleep(seconds: float) -> None:
        done.append(f"{seconds:g} s")
        if len(done) >= most:
            raise StoppedError

    async def work() -> None:
        wake = Wake(path, interval, send, sleep)
        wake.add(add)
        await wake.run()

    try:
        asyncio.run(work())
    except StoppedError:
        return done
    raise AssertionError("it ended by itself")


def test_one_after_the_other_each_once(tmp_path: Path) -> None:
    assert woken(tmp_path / "q", 2, [A, B, A, C], 6) == [A, "2 s", B, "2 s", C, "2 s"]
    assert json.loads((tmp_path / "q").read_bytes()) == []


def test_a_killed_server_goes_on(tmp_path: Path) -> None:
    assert woken(tmp_path / "q", 2, [A, B, C], 2) == [A, "2 s"]
    assert woken(tmp_path / "q", 2, [], 4) == [B, "2 s", C, "2 s"]


def test_a_network_that_is_down_is_tried_again(tmp_path: Path) -> None:
    assert woken(tmp_path / "q", 1, [A], 3, fails=1) == ["1 s", A, "1 s"]


def test_a_damaged_queue_switches_nobody_on(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("[")
    assert woken(tmp_path / "q", 1, [C], 2) == [C, "1 s"]


def test_the_packet() -> None:
    assert magic(A) == b"\xff" * 6 + b"\x02\0\0\0\0\x0a" * 16


def test_everybody_in_the_networks_of_the_pcs(settings: ServerSettings) -> None:
    assert settings.broadcasts == ("198.51.100.255",)
