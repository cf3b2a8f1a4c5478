"""Rooms and hosts as typed become exactly those hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.errors import UsageError
from lab_tool.school.load import load_school
from lab_tool.school.model import School
from lab_tool.school.select import find_room, select_hosts
from tests.unit.school.small import write


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    folder: Path = tmp_path_factory.mktemp("school")
    return load_school(write(folder / "inventory"))


def test_rooms_and_single_hosts_each_once_in_the_order_of_the_inventory(school: School) -> None:
    hosts = select_hosts(school, ["b101", "b101"], ["b101-8-pc", "a301-02"])
    assert [host.name for host in hosts] == ["a301-02", "b101-7-pc", "b101-8-pc"]


def test_nothing_is_not_everything(school: School) -> None:
    with pytest.raises(UsageError, match="no room and no host"):
        select_hosts(school, [], [])


@pytest.mark.parametrize(
    "name",
    ["", " ", "all", "*", "a301,b101", "a30*", "A301", "a301 ", "!b101", "~a.*", "@file", "{{ a301 }}", "a301[0]"],
)
def test_there_are_no_patterns(school: School, name: str) -> None:
    for rooms, hosts in (([name], []), (["a301", name], []), ([], [name]), ([], ["a301-01", name])):
        with pytest.raises(UsageError, match="there is no"):
            select_hosts(school, rooms, hosts)


def test_a_slip_of_the_finger_is_answered_with_the_nearest(school: School) -> None:
    with pytest.raises(UsageError, match=r"there is no room 'a310'\. Did you mean 'a301'"):
        find_room(school, "a310")
    with pytest.raises(UsageError, match="Did you mean 'a301-04'"):
        select_hosts(school, [], ["a301-4"])
