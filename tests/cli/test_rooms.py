"""`lab rooms`: the list, the seat map, the check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab_tool.cli import lab
from lab_tool.school.load import load_school
from lab_tool.school.problem import MOST_SHOWN
from lab_tool.settings import PROJECT
from tests.unit.school.small import replace, write


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A small, sound inventory."""
    return write(tmp_path / "inventory")


def run(inventory: Path, *arguments: str, language: str = "en") -> Result:
    """`lab rooms ...` on that inventory."""
    return CliRunner().invoke(lab, ["rooms", *arguments], env={"LAB_INVENTORY": str(inventory), "LAB_LANG": language})


def data(result: Result) -> Any:
    """What `--json` answered."""
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    return document["data"]


def test_list(inventory: Path) -> None:
    result = run(inventory)
    assert result.exit_code == 0
    assert result.stderr == ""
    (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["a301"]]
    assert " ".join(line.split()) == "a301 Lab 301 computer lab North campus Wang Fang (wang_fang) 4 1 1"
    assert result.stdout.splitlines()[-1] == "2 rooms, 6 seats, 1 out of order"


def test_list_in_chinese(inventory: Path) -> None:
    out = run(inventory, language="zh").stdout
    assert "机房 301" in out
    assert "计算机教室" in out
    assert out.splitlines()[-1] == "2 个房间，6 个机位，其中停用 1"


def test_list_for_a_program(inventory: Path) -> None:
    rows = data(run(inventory, "--json"))
    assert [row["id"] for row in rows] == ["a301", "b101"]
    assert rows[0] == {
        "id": "a301",
        "name": {"zh": "机房 301", "en": "Lab 301"},
        "kind": "computer_lab",
        "campus": "north",
        "building": "house_1",
        "keeper": "wang_fang",
        "seats": 4,
        "canaries": 1,
        "out_of_order": 1,
    }


def test_seat_map(inventory: Path) -> None:
    replace(inventory / "rooms/a301.yml", "  range: 1-4", "  range: 1-8\n  per_row: 5")
    out = run(inventory, "show", "a301").stdout.splitlines()
    assert out[0] == "a301  Lab 301"
    assert "  [1*] [2 ] [3x] [4+] [5 ]" in out
    assert "  [6 ] [7 ] [8 ]" in out
    assert "  a301-03  monitor at repair" in out
    assert "  a301-04  Teacher PC" in out
    assert "  x out of order   * canary, gets a change first   + differs from the room" in out


def test_seat_map_says_nothing_of_marks_that_are_not_there(inventory: Path) -> None:
    out = run(inventory, "show", "b101").stdout
    assert out.rstrip().splitlines()[-1] == "  [7 ] [8 ]"


def test_seat_map_for_a_program(inventory: Path) -> None:
    room = data(run(inventory, "show", "a301", "--json"))
    assert room["keeper_name"] == {"zh": "王芳", "en": "Wang Fang"}
    assert room["hosts"][0]["mac"] == "02:00:00:03:01:01"
    assert [host["address"] for host in room["hosts"]][:2] == ["192.0.2.1", "192.0.2.9"]


def test_a_room_that_is_none(inventory: Path) -> None:
    result = run(inventory, "show", "a310")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "Error: there is no room 'a310'. Did you mean 'a301'?\nRun: lab rooms\n"


def test_check_of_a_sound_inventory(inventory: Path) -> None:
    result = run(inventory, "check")
    assert (result.exit_code, result.stdout) == (0, "The inventory is in order: 2 rooms, 6 hosts, 2 people\n")
    assert data(run(inventory, "check", "--json")) == {
        "sound": True,
        "problems": [],
        "rooms": 2,
        "hosts": 6,
        "people": 2,
    }


def test_check_shows_everything_that_is_wrong(inventory: Path) -> None:
    lines = "".join(f"  {seat}: {{mac: wrong}}\n" for seat in range(5, 5 + MOST_SHOWN + 10))
    replace(inventory / "rooms/a301.yml", "  4: {profile: teacher}\n", lines)
    result = run(inventory, "check")
    assert result.exit_code == 2
    *problems, summary, hint = result.stderr.splitlines()
    assert len(problems) == MOST_SHOWN + 10
    assert problems[0].startswith(f"{inventory}/rooms/a301.yml:19: 'differences.5.mac' must be a MAC address")
    assert summary == f"The inventory is refused. Problems: {MOST_SHOWN + 10}"
    assert hint == "Run: lab rooms check"


def test_check_for_a_program(inventory: Path) -> None:
    replace(inventory / "rooms/a301.yml", "keeper: wang_fang", "keeper: wang_fan")
    result = run(inventory, "check", "--json")
    assert result.exit_code == 2
    assert data(result) == {
        "sound": False,
        "problems": [
            {
                "file": f"{inventory}/rooms/a301.yml",
                "line": 6,
                "what": "unknown keeper 'wang_fan'",
                "fix": "Did you mean 'wang_fang'?",
            }
        ],
    }


@pytest.mark.parametrize("arguments", [(), ("show", "a301"), ("--json",), ("show", "a301", "--json")])
def test_no_command_works_on_a_refused_inventory(inventory: Path, arguments: tuple[str, ...]) -> None:
    replace(inventory / "rooms/b101.yml", "02:00:00:01:01:07", "02:00:00:03:01:02")
    result = run(inventory, *arguments)
    assert result.exit_code == 2
    assert f"{inventory}/rooms/b101.yml:14: two hosts with MAC 02:00:00:03:01:02 (a301-02, b101-7-pc)" in result.stderr
    assert result.stderr.endswith("Run: lab rooms check\n")
    if "--json" in arguments:
        assert json.loads(result.stdout)["kind"] == "error"


@pytest.mark.parametrize("room", load_school(PROJECT / "inventory").rooms)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_room_of_the_sample_school_can_be_drawn(room: str, language: str) -> None:
    result = run(PROJECT / "inventory", "show", room, language=language)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
