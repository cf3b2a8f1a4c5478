"""What the server forgets: by its own watch, and never what a PC talks it into."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab_tool.settings import PROJECT

DAY = 86400
NOW = 1_800_000_000


def program() -> Any:
    """The program as it lies in the role."""
    path = PROJECT / "roles/backup_server/files/lab_backup_retention.py"
    spec = importlib.util.spec_from_file_location("lab_backup_retention", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


retention = program()


def kept(**days: int) -> dict[str, dict[str, int]]:
    """Snapshots by the days they were kept, first seen that long ago."""
    return {name: {"first": NOW - age * DAY, "kept": age * DAY} for name, age in days.items()}


def test_what_is_older_goes_and_the_newest_stays() -> None:
    assert retention.to_forget(kept(a=400, b=366, c=364, d=1), [], 365) == ["a", "b"]
    assert retention.to_forget(kept(a=400, b=390), [], 365) == ["a"]
    assert retention.to_forget({}, [], 365) == []


def test_a_strange_one_is_not_the_newest() -> None:
    """All are old; a forged one came last. The last real one stays beside it."""
    assert retention.to_forget(kept(a=400, b=390, forged=380), ["forged"], 365) == ["a"]


def test_a_date_in_the_future_is_strange_and_one_in_the_past_is_not() -> None:
    seen = kept(a=0)
    assert retention.odd({"a": NOW + DAY}, seen) == []
    assert retention.odd({"a": NOW + DAY + 1}, seen) == ["a"]
    assert retention.odd({"a": 0}, seen) == []


def test_age_is_what_the_server_watched_over() -> None:
    first = retention.grown({}, {"a": NOW - 5}, NOW, 0)
    assert first == {"a": {"first": NOW - 5, "kept": 0}}
    day = retention.grown(first, {"a": NOW - 5, "b": NOW + 99}, NOW + DAY, NOW)
    assert day["a"]["kept"] == DAY
    assert day["b"] == {"first": NOW + 99, "kept": 0}
    assert retention.grown(day, {"b": 0}, NOW + DAY, NOW + DAY) == {"b": day["b"]}


@pytest.mark.parametrize("jump", [-10 * 365 * DAY, -1, 10 * 365 * DAY])
def test_a_clock_that_jumps_ages_nothing_by_more_than_two_days(jump: int) -> None:
    seen = retention.grown(kept(a=1), {"a": NOW}, NOW + jump, NOW)
    assert DAY <= seen["a"]["kept"] <= 3 * DAY


@given(
    real=some.dictionaries(some.text("abc", min_size=1), some.integers(0, 800), min_size=1),
    forged=some.dictionaries(some.text("xyz", min_size=1), some.integers(0, 800), max_size=50),
)
def test_no_number_of_forged_ones_makes_a_real_one_go_earlier(real: dict[str, int], forged: dict[str, int]) -> None:
    among = set(retention.to_forget(kept(**{**real, **forged}), list(forged), 365))
    assert not {name for name in among if {**real, **forged}[name] <= 365}
    assert set(real) - among


def test_times_as_restic_writes_them() -> None:
    assert retention.seconds("1970-01-02T00:00:00.123456789Z") == DAY
    assert retention.seconds("1970-01-02T08:00:00.1+08:00") == DAY
    assert retention.seconds("1970-01-01T19:00:00-05:00") == DAY


class Server:
    """A repository that a forger has been at, and restic by what it would say; `calls` are its commands."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, blobs: str, *, sound: bool = True) -> None:
        self.top, self.blobs, self.sound = folder / "repositories", blobs, sound
        self.calls: list[tuple[str, bool]] = []
        (self.top / "pc" / "snapshots").mkdir(parents=True)
        (self.top / "pc" / "snapshots" / "old").touch()
        (self.top / "pc" / "snapshots" / "new").touch()
        (folder / "seen").mkdir()
        seen = {"old": {"first": NOW - 400 * DAY, "kept": 400 * DAY}, "new": {"first": NOW, "kept": 0}}
        (folder / "seen" / "pc.json").write_text(json.dumps({"at": NOW, "seen": seen}), encoding="ascii")
        monkeypatch.setattr(retention, "STATE", folder)
        monkeypatch.setattr(retention, "restic", self.restic)

    def restic(self, settings: Any, folder: Path, password: str, *arguments: str) -> str:
        """What restic would answer."""
        self.calls.append((arguments[0], (self.top / "pc").exists()))
        assert folder.exists()
        if arguments[0] == "snapshots":
            return json.dumps([{"id": name, "time": "2020-01-01T00:00:00Z"} for name in ("old", "new")])
        if arguments[0] == "check" and not self.sound:
            raise RuntimeError("restic check: Fatal: repository contains errors")
        return self.blobs if arguments[:2] == ("list", "blobs") else ""

    def tidy(self) -> Any:
        """As the timer does."""
        return retention.tidy({"path": str(self.top), "user": "lab-backup", "days": 365}, "pc", "secret", NOW)


def test_what_is_claimed_once_is_forgotten_out_of_the_pc_s_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, monkeypatch, "data a\ndata b\ntree a\n")
    assert server.tidy()["forgotten"] == 1
    assert server.calls[3:] == [("list", False), ("forget", False), ("prune", False)]
    assert (server.top / "pc").is_dir()


def test_data_claimed_twice_is_read_before_anything_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, monkeypatch, "data a\ndata b\ndata a\n")
    assert server.tidy()["forgotten"] == 1
    assert server.calls[3:] == [("list", False), ("check", False), ("forget", False), ("prune", False)]


def test_a_forged_claim_throws_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """restic 0.14 would keep the rubbish and delete the real pack: it was tried."""
    server = Server(tmp_path, monkeypatch, "data a\ndata b\ndata a\n", sound=False)
    with pytest.raises(RuntimeError, match="claimed twice and is not sound, so nothing was forgotten"):
        server.tidy()
    assert not {"forget", "prune"} & {name for name, _ in server.calls}
    assert (server.top / "pc" / "snapshots" / "old").exists()


def test_a_cut_before_the_prune_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path, monkeypatch, "data a\n")
    monkeypatch.setattr(retention, "require_sound", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        server.tidy()
    monkeypatch.undo()
    memory = json.loads((tmp_path / "seen" / "pc.json").read_text(encoding="ascii"))
    memory["seen"]["old"]["kept"] = 0
    (tmp_path / "seen" / "pc.json").write_text(json.dumps(memory), encoding="ascii")
    monkeypatch.setattr(retention, "STATE", tmp_path)
    monkeypatch.setattr(retention, "restic", server.restic)
    server.calls.clear()
    for prunes in (1, 0):
        server.tidy()
        assert [name for name, _ in server.calls if name in ("forget", "prune")] == ["prune"] * prunes
        server.calls.clear()


def test_what_a_cut_left_out_of_reach_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repositories" / ".tidied-pc").mkdir(parents=True)
    (tmp_path / "repositories" / ".tidied-pc" / "config").touch()
    (tmp_path / "config.json").write_text(json.dumps({"path": str(tmp_path / "repositories")}), encoding="ascii")
    monkeypatch.setattr(retention, "STATE", tmp_path)
    monkeypatch.setattr(retention, "SETTINGS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["lab-backup-retention", "--open"])
    assert retention.main() == 0
    assert (tmp_path / "repositories" / "pc" / "config").exists()
