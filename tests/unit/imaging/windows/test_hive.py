"""Values in real hives, read back by regipy."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import hive
from lab_tool.imaging.deploy.registry import Setting
from tests.support.windows import dword, keys_of, make_hive, text, value_of, values_of
from tests.support.windows_order import policy

pytestmark = pytest.mark.usefixtures("hivex")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A SYSTEM hive whose current control set is the second."""
    place = tmp_path / "SYSTEM"
    make_hive(
        place,
        {
            ("Select", "Current"): dword(2),
            (r"ControlSet001\Services\X", "Start"): dword(3),
            (r"ControlSet002\Services\X", "Start"): dword(3),
            (r"ControlSet002\Services\X", "Other"): text("stays"),
        },
    )
    return place


def settings(*policies: tuple[str, str, str]) -> Sequence[Setting]:
    """Numbers for the hive."""
    return [Setting.read(policy("SYSTEM", key, name, "dword", value)) for key, name, value in policies]


def test_the_current_control_set_is_the_one_that_windows_will_take(system: Path) -> None:
    assert hive.apply({"SYSTEM": system}, settings((r"CurrentControlSet\Services\X", "Start", "4"))) == 1
    assert value_of(system, r"ControlSet002\Services\X", "Start") == 4
    assert value_of(system, r"ControlSet002\Services\X", "Other") == "stays"
    assert value_of(system, r"ControlSet001\Services\X", "Start") == 3


def test_a_second_time_nothing_is_written(system: Path) -> None:
    chosen = settings((r"A\B\C", "one", "1"), (r"A\B\D", "two", "2"))
    assert hive.apply({"SYSTEM": system}, chosen) == 2
    before, seen = system.read_bytes(), system.stat().st_mtime_ns
    assert hive.apply({"SYSTEM": system}, chosen) == 0
    assert (system.read_bytes(), system.stat().st_mtime_ns) == (before, seen)


def test_keys_and_names_are_the_same_in_other_case(system: Path) -> None:
    hive.apply({"SYSTEM": system}, settings((r"controlset002\SERVICES\x", "start", "4")))
    assert keys_of(system, r"ControlSet002\Services") == ["X"]
    assert sorted(values_of(system, r"ControlSet002\Services\X")) == [("Other", "stays"), ("start", 4)]


def test_missing_says_what_is_not_there(system: Path) -> None:
    chosen = settings(
        (r"A\B", "one", "1"), (r"ControlSet001\Services\X", "Start", "3"), (r"CurrentControlSet\Y", "n", "1")
    )
    assert hive.missing({"SYSTEM": system}, chosen) == [chosen[0], chosen[2]]
    hive.apply({"SYSTEM": system}, chosen)
    assert hive.missing({"SYSTEM": system}, chosen) == []


def test_a_large_hive_grows(system: Path) -> None:
    many = [Setting.read(policy("SYSTEM", rf"Lab\{number}", "v", "string", "字" * 4000)) for number in range(40)]
    assert hive.apply({"SYSTEM": system}, many) == 40
    assert value_of(system, r"Lab\39", "v") == "字" * 4000


# hivex itself stumbles over an object that it could not make.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("content", [b"", b"regf", b"rubbish" * 1000, b"regf" + bytes(4096)])
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "SOFTWARE"
    place.write_bytes(content)
    with pytest.raises(LabError):
        hive.apply({"SOFTWARE": place}, [])
    assert place.read_bytes() == content


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_hive_that_was_cut_off_is_refused(system: Path) -> None:
    whole = system.read_bytes()
    system.write_bytes(whole[:5000])
    with pytest.raises(LabError):
        hive.apply({"SYSTEM": system}, settings(("A", "b", "1")))
    assert system.read_bytes() == whole[:5000]


def test_no_room_for_what_it_grows_by_leaves_it_as_it_was(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = system.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lab_tool.imaging.deploy.hive.os.fsync", full)
    large = [Setting.read(policy("SYSTEM", "Lab", "v", "string", "x" * 9000))]
    with pytest.raises(LabError, match="No space left"):
        hive.apply({"SYSTEM": system}, large)
    assert system.read_bytes() == before


def test_one_hive_that_is_refused_leaves_the_other_as_it_was(system: Path, tmp_path: Path) -> None:
    other = tmp_path / "SOFTWARE"
    other.write_bytes(b"rubbish" * 1000)
    before = system.read_bytes()
    with pytest.raises(LabError):
        hive.apply({"SYSTEM": system, "SOFTWARE": other}, settings(("A", "b", "1")))
    assert system.read_bytes() == before
