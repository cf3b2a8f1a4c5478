"""The folder of a build is gone afterwards, also after one that was killed, and never while somebody works in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.imaging.build.workshop import workshop


def test_it_is_gone_afterwards(tmp_path: Path) -> None:
    with workshop(tmp_path) as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_and_when_building_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), workshop(tmp_path) as folder:
        raise ZeroDivisionError
    assert not folder.exists()


def test_what_a_killed_builder_left_goes_and_what_another_works_in_stays(tmp_path: Path) -> None:
    with workshop(tmp_path) as mine:
        left = mine.with_name("making-left")
        left.mkdir()
        with workshop(tmp_path):
            assert mine.exists()
            assert not left.exists()
