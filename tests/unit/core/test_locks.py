"""One run at a time per host, for as long as any process of the run lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab_tool.core.locks import host_locks, is_held, is_inherited
from lab_tool.errors import RefusedError


def test_a_second_run_that_overlaps_is_told_who_and_since_when(tmp_path: Path) -> None:
    with (
        host_locks(tmp_path, ["a-01", "a-02"], run="r-1", actor="li_na", since="2026-11-24T10:00:00Z"),
        pytest.raises(RefusedError, match=r"a-02 is in use by run r-1 of li_na, since 2026-11-24T10:00:00Z"),
        host_locks(tmp_path, ["a-03", "a-02"], run="r-2", actor="zhao_min", since=""),
    ):
        pass


def test_what_was_taken_before_the_refusal_is_given_back(tmp_path: Path) -> None:
    with host_locks(tmp_path, ["b"], run="r-1", actor="x", since=""):
        with pytest.raises(RefusedError), host_locks(tmp_path, ["a", "b"], run="r-2", actor="x", since=""):
            pass
        with host_locks(tmp_path, ["a"], run="r-3", actor="x", since=""):
            assert is_held(tmp_path, ["a"], "r-3")


def test_disjoint_runs_go_on_side_by_side(tmp_path: Path) -> None:
    with (
        host_locks(tmp_path, ["a"], run="r-1", actor="x", since=""),
        host_locks(tmp_path, ["b"], run="r-2", actor="x", since=""),
    ):
        assert is_held(tmp_path, ["a"], "r-1")
        assert not is_held(tmp_path, ["b"], "r-1")


def test_a_process_that_inherited_the_lock_keeps_it(tmp_path: Path) -> None:
    """As a worker of Ansible does that outlives `lab` and still acts on the host."""
    with host_locks(tmp_path, ["a"], run="r-1", actor="x", since="") as locks:
        worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=locks)
    assert is_held(tmp_path, ["a"], "r-1")
    worker.communicate(b"\n")
    assert not is_held(tmp_path, ["a"], "r-1")


def test_a_lock_is_inherited_or_it_is_not_yours(tmp_path: Path) -> None:
    with host_locks(tmp_path, ["a", "b"], run="r-1", actor="x", since="") as locks:
        assert is_inherited(tmp_path, "a", locks[0])
        assert not is_inherited(tmp_path, "b", locks[0])
        assert not is_inherited(tmp_path, "c", locks[0])
        assert not is_inherited(tmp_path, "a", 999)
        with (tmp_path / "a.lock").open("r+") as by_hand:
            assert not is_inherited(tmp_path, "a", by_hand.fileno())
    with (tmp_path / "a.lock").open("r+") as nobody_holds_it:
        assert not is_inherited(tmp_path, "a", nobody_holds_it.fileno())
