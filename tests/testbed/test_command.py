"""`python -m tests.testbed`, as a developer types it."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.testbed.programs import run


def typed(*arguments: str | Path) -> CompletedProcess[str]:
    """Type a command, keep what it said."""
    return run(sys.executable, "-m", "tests.testbed", *arguments, check=False)


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A room of two that stays, by the name it was built under."""
    name = f"command-{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("command") / "room"
    built = typed("build", "--hosts", "2", "--name", name, "--state", folder, "--first", "5", "--json")
    assert built.returncode == 0, built.stderr
    described = json.loads(built.stdout)["room"]
    assert [host["name"] for host in described["hosts"]] == ["pc05", "pc06"]
    assert described["in_use_by"] is None
    yield name
    down = typed("down", name)
    assert down.stdout == f"Removed room {name} (2 PCs)\n", down.stderr
    assert not folder.exists()


@pytest.mark.hosts
def test_a_room_stays_and_is_listed(name: str) -> None:
    rooms = {room["name"]: room for room in json.loads(typed("list", "--json").stdout)["rooms"]}
    folder = Path(rooms[name]["folder"])
    assert run("ssh", "-o", "BatchMode=yes", "-F", folder / "ssh_config", "pc05", "hostname").stdout == "pc05\n"
    assert f"{name}  {folder}" in typed("list").stdout


@pytest.mark.hosts
def test_a_name_is_taken_once(name: str, tmp_path: Path) -> None:
    again = typed("build", "--name", name, "--state", tmp_path / "again")
    assert again.returncode == 1
    assert f"down {name} removes it" in again.stderr


@pytest.mark.hosts
def test_break_and_mend(name: str) -> None:
    for what in ("disk-full", "no-network", "off"):
        assert typed("break", f"{name}/pc06", what).returncode == 0
    assert [host["on"] for host in _hosts(name)] == [True, False]
    mended = typed("mend", f"{name}/pc06")
    assert mended.returncode == 0, mended.stderr
    assert [host["on"] for host in _hosts(name)] == [True, True]


@pytest.mark.hosts
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("break", "pc99", "off"), "no host pc99; python -m tests.testbed list shows"),
        (("down", "no-such-room"), "no room no-such-room"),
        (("build", "--hosts", "0", "--name", "none"), "a room has seats 1 to 1021"),
    ],
)
def test_what_can_t_be_done_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = typed(*arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_help_has_examples() -> None:
    said = typed("--help")
    assert said.returncode == 0
    assert "python -m tests.testbed break demo/pc03 disk-full" in said.stdout


def _hosts(name: str) -> list[dict[str, object]]:
    rooms = json.loads(typed("list", "--json").stdout)["rooms"]
    hosts: list[dict[str, object]] = next(room["hosts"] for room in rooms if room["name"] == name)
    return hosts
