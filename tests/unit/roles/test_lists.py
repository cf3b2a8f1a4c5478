"""Package lists: complete or a failure; and locks: waited for, not for ever."""

from __future__ import annotations

import calendar
import fcntl
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_patch import lists, programs
from lab_tool.plugins.module_utils.lab_patch.programs import LockedError, Programs, daily_jobs_waiting, plain

NOON = calendar.timegm((2026, 11, 24, 12, 0, 0))


class Apt:
    """Answers in turn, the last one for ever; notes what it was asked."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        self.asked.append(list(argv))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The PC's folders, in a folder of the test."""
    (tmp_path / "lists").mkdir()
    monkeypatch.setattr(lists, "LISTS", str(tmp_path / "lists"))
    monkeypatch.setattr(lists, "STAMP", str(tmp_path / "periodic" / "stamp"))
    monkeypatch.setattr(lists, "REHEARSAL", str(tmp_path / "rehearsal"))
    monkeypatch.setattr(programs, "PAUSE", 0.01)
    return tmp_path


def test_a_complete_update_is_stamped() -> None:
    assert lists.updated_at() == 0
    apt = Apt((0, "", ""))
    lists.update(Programs(apt, 0), "")
    assert abs(lists.updated_at() - time.time()) < 60
    assert "--error-on=any" in apt.asked[0]
    assert not any("Proxy" in argument for argument in apt.asked[0])


def test_an_update_that_failed_in_part_is_an_error_and_no_stamp() -> None:
    apt = Apt((100, "", "W: something\nE: Failed to fetch http://user:pass@mirror/x  Could not connect\nE: more\n"))
    with pytest.raises(lists.ListsError, match=r"^E: Failed to fetch http://mirror/x Could not connect$"):
        lists.update(Programs(apt, 0), "")
    assert lists.updated_at() == 0


def test_an_update_through_the_cache() -> None:
    apt = Apt((0, "", ""))
    lists.update(Programs(apt, 0), "http://cache:3142")
    assert "Acquire::http::Proxy=http://cache:3142" in apt.asked[0]


def test_a_rehearsal_touches_nothing_of_the_system(elsewhere: Path) -> None:
    (elsewhere / "lists" / "a_InRelease").write_text("x")
    (elsewhere / "lists" / "partial").mkdir()
    before = sorted((elsewhere / "lists").rglob("*"))
    apt = Apt((0, "", ""))
    folder, settings = lists.rehearse(Programs(apt, 0), "")
    assert sorted((elsewhere / "lists").rglob("*")) == before
    assert lists.updated_at() == 0
    assert lists.updated_at(folder) > 0
    assert (Path(folder) / "a_InRelease").read_text() == "x"
    # Read before what follows on the command line, or it would take back what stands there.
    assert apt.asked[0][:4] == ["apt-get", "--config-file", settings, "update"]
    assert lists.discard_rehearsal()
    assert not (elsewhere / "rehearsal").exists()
    assert not lists.discard_rehearsal()


def test_a_rehearsal_that_was_cut_off_is_no_obstacle(elsewhere: Path) -> None:
    (elsewhere / "rehearsal" / "lists").mkdir(parents=True)
    (elsewhere / "rehearsal" / "lists" / "old").touch()
    folder, _ = lists.rehearse(Programs(Apt((0, "", "")), 0), "")
    assert not (Path(folder) / "old").exists()


@pytest.mark.parametrize(
    ("until", "expired"),
    [
        ("Valid-Until: Tue, 24 Nov 2026 11:59:00 UTC\n", True),
        ("Valid-Until: Tue, 24 Nov 2026 12:01:00 UTC\n", False),
        ("", False),
        ("Valid-Until: nonsense\n", False),
    ],
)
def test_release_files_that_are_no_longer_valid(elsewhere: Path, until: str, expired: bool) -> None:
    text = f"-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\n{until}SHA256:\n abc 1 Valid-Until: no field\n"
    (elsewhere / "lists" / "a_InRelease").write_text(text)
    assert lists.expired(NOON) == (["a_InRelease"] if expired else [])


def test_times_in_utc() -> None:
    assert lists.utc_text(NOON) == "2026-11-24T12:00:00Z"
    assert lists.utc_text(0) == ""


BUSY = (100, "", "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)\n")


@pytest.mark.parametrize(
    "said",
    [BUSY[2], "dpkg: error: dpkg frontend lock was locked by another process with pid 12\n"],
    ids=["apt", "dpkg"],
)
def test_a_lock_is_waited_for(said: str) -> None:
    apt = Apt((100, "", said), (100, "", said), (0, "done", ""))
    assert Programs(apt, 60).locking("apt-get", "update") == (0, "done", "")
    assert len(apt.asked) == 3


def test_a_lock_is_not_waited_for_for_ever() -> None:
    with pytest.raises(LockedError, match="in use by something else for 0 s"):
        Programs(Apt(BUSY), 0).locking("apt-get", "update")


def test_any_other_failure_is_not_tried_again() -> None:
    apt = Apt((100, "", "E: Failed to fetch\n"))
    assert Programs(apt, 60).locking("apt-get", "update")[0] == 100
    assert len(apt.asked) == 1


def test_the_daily_jobs_are_kept_waiting_and_waited_for(tmp_path: Path) -> None:
    lock = str(tmp_path / "daily_lock")
    with daily_jobs_waiting(0, lock):
        other = os.open(lock, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(LockedError, match="still at work after 0 s"), daily_jobs_waiting(0, lock):
            pass
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_messages_are_one_short_line_without_passwords() -> None:
    assert plain("E: http://me:secret@mirror/a\n  failed") == "E: http://mirror/a failed"
    assert len(plain("x" * 1000)) == 303
