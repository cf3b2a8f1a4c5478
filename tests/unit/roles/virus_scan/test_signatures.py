"""How old signatures are, and which prove nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan.fetch import discard
from lab_tool.plugins.module_utils.lab_virus_scan.signatures import (
    DAY,
    HOUR,
    Wanted,
    age_text,
    digest,
    look,
    read_header,
)

NOW = 1_795_000_000
HEADER = b"ClamAV-VDB:%s:%d:2000000:90:d:s:builder:0"


def daily(folder: Path, built: int, version: int = 27800, name: str = "daily.cvd") -> None:
    """A database by its header; its own date is another one on purpose."""
    text = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(built))
    (folder / name).write_bytes(HEADER % (text.encode(), version) + b" " * 400)


def extra(folder: Path, age: int, name: str = "school.ndb") -> None:
    """A plain file."""
    (folder / name).write_text("x", encoding="ascii")
    os.utime(folder / name, (NOW - age, NOW - age))


def trouble(folder: Path, official: tuple[str, ...] = ("daily",), own: tuple[str, ...] = ()) -> str:
    """Why they are not good."""
    return look(Wanted(official, own, 3 * DAY), NOW, str(folder)).trouble


def test_a_header_says_when_it_was_built() -> None:
    base = read_header("daily.cvd", b"ClamAV-VDB:16 Sep 2021 08-32 -0400:62:6647427:90:d:s:b:1")
    assert (base.built, base.version) == (1631795520, 62)


@pytest.mark.parametrize("header", [b"", b"<html>404", b"ClamAV-VDB:", b"ClamAV-VDB:yesterday:1:2", b"\xff" * 512])
def test_what_is_no_header_has_no_date(header: bytes) -> None:
    assert read_header("daily.cvd", header).built == 0


def test_the_daily_database_counts_by_its_own_word(tmp_path: Path) -> None:
    daily(tmp_path, NOW - HOUR)
    daily(tmp_path, NOW - 90 * DAY, name="main.cvd")
    found = look(Wanted(("main", "daily"), (), 3 * DAY), NOW, str(tmp_path))
    assert (found.trouble, found.version, found.age // HOUR) == ("", "27800", 1)


def test_old_ones_are_told_with_their_age_whatever_lies_beside(tmp_path: Path) -> None:
    daily(tmp_path, NOW - 5 * DAY)
    extra(tmp_path, 0)
    assert trouble(tmp_path, own=("school.ndb",)) == "the signatures are 5 days old, the limit is 3 days"


def test_the_limit_is_the_last_moment(tmp_path: Path) -> None:
    daily(tmp_path, NOW - NOW % 60 - 3 * DAY + 60)
    assert trouble(tmp_path) == ""


def test_no_newer_file_hides_an_older_one(tmp_path: Path) -> None:
    extra(tmp_path, 0)
    extra(tmp_path, 4 * DAY, "other.hdb")
    assert trouble(tmp_path, (), ("school.ndb", "other.hdb")).startswith("the signatures are 4 days old")


def test_the_future_proves_nothing(tmp_path: Path) -> None:
    daily(tmp_path, NOW + DAY)
    assert trouble(tmp_path).startswith("signatures are dated in the future: daily.cvd")
    daily(tmp_path, NOW - HOUR)
    extra(tmp_path, -2 * HOUR)
    assert trouble(tmp_path, own=("school.ndb",)).startswith("signatures are dated in the future: school.ndb")


def test_what_is_missing_or_no_database(tmp_path: Path) -> None:
    assert trouble(tmp_path) == "there are no signatures"
    assert trouble(tmp_path / "nowhere") == "there are no signatures"
    extra(tmp_path, 0)
    assert trouble(tmp_path, own=("school.ndb",)) == "signatures are missing: daily"
    (tmp_path / "daily.cvd").write_bytes(b"<html>")
    assert trouble(tmp_path) == "signatures are corrupt: daily.cvd has no valid date"


def test_a_patched_database_is_looked_at_before_the_whole_one(tmp_path: Path) -> None:
    daily(tmp_path, NOW - 9 * DAY)
    daily(tmp_path, NOW - HOUR, name="daily.cld")
    assert trouble(tmp_path) == ""


def test_any_change_is_noticed(tmp_path: Path) -> None:
    daily(tmp_path, NOW)
    extra(tmp_path, 0)
    before = digest(str(tmp_path))
    assert digest(str(tmp_path)) == before
    (tmp_path / "school.ndb").write_text("y", encoding="ascii")
    assert digest(str(tmp_path)) != before


def test_what_nobody_wants_any_more_goes_and_only_that(tmp_path: Path) -> None:
    for name in ("daily.cvd", "main.cvd", "old.ndb", "new.hdb", "freshclam.dat", "tmp.txt"):
        extra(tmp_path, 0, name)
    discard(["daily"], ["new.hdb"], str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daily.cvd", "freshclam.dat", "new.hdb", "tmp.txt"]


def test_ages_in_words() -> None:
    assert (age_text(47 * HOUR), age_text(3 * DAY)) == ("47 hours", "3 days")
