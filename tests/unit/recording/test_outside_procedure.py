"""`ansible-playbook` without `lab`: recorded as well, marked, and refused where that can't be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab_tool.settings import PROJECT
from tests.unit.recording.conftest import HOSTS, Bench


def test_a_playbook_by_hand_is_recorded_and_marked(bench: Bench) -> None:
    done = bench.play([bench.touch("a", tags=["B2"])], "--limit", "room_a1")
    assert done.returncode == 0, done.stderr
    assert [entry.kind for entry in bench.entries()] == [
        "run.started",
        "recorder.started",
        "task.started",
        "task.finished",
        "task.started",
        *["task.changed"] * 3,
        "task.finished",
        "recorder.finished",
        "run.finished",
    ]
    assert all(entry.body["outside"] is True and entry.actor.startswith("os:") for entry in bench.entries())
    changed = bench.entries("task.changed")
    assert sorted(entry.subject.hosts[0] for entry in changed) == HOSTS
    assert {entry.subject.rooms for entry in changed} == {("a1",)}
    assert {entry.subject.rules for entry in changed} == {("B2",)}


def test_a_host_whose_outcome_was_not_read_back_is_not_ok(bench: Bench) -> None:
    bench.play([bench.touch("a")], "--limit", "all")
    outcomes = bench.entries("run.finished")[0].body["outcomes"]
    assert {outcome["outcome"] for outcome in outcomes.values()} == {"failed"}
    assert {outcome["reason"] for outcome in outcomes.values()} == {"the outcome was not read back"}


def test_no_limit_is_not_taken_for_all(bench: Bench) -> None:
    done = bench.play([bench.touch("a")])
    assert done.returncode != 0
    assert "no hosts were named" in done.stderr
    assert bench.touched("a") == []


def test_a_check_is_marked_as_one(bench: Bench) -> None:
    state = {
        "name": "File",
        "ansible.builtin.file": {"path": str(bench.folder / "a"), "state": "touch", "mode": "0600"},
    }
    bench.play([bench.touch("a"), state], "--limit", "all", "--check")
    assert [entry.body["check"] for entry in bench.entries("task.changed")] == [True] * 3
    assert bench.entries("run.started")[0].body["check"] is True
    assert bench.touched("a") == []


def test_a_one_off_command_is_recorded(bench: Bench) -> None:
    target = bench.folder / "once"
    argv = [sys.executable, "-m", "ansible", "adhoc", "-i", str(bench.folder / "inventory.yml"), "a1-02"]
    done = subprocess.run(
        [*argv, "-m", "ansible.builtin.command", "-a", f"touch {target}"],
        env=bench.environment(),
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert target.exists()
    assert [entry.subject.hosts for entry in bench.entries("task.changed")] == [("a1-02",)]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"ANSIBLE_CALLBACKS_ENABLED": "something_else"}, id="recorder not enabled"),
        pytest.param({"ANSIBLE_CALLBACK_PLUGINS": "/nonexistent"}, id="recorder not found"),
    ],
)
def test_without_the_recorder_nothing_is_changed(bench: Bench, extra: dict[str, str]) -> None:
    done = bench.play([bench.touch("a")], "--limit", "all", **extra)
    assert done.returncode != 0
    assert bench.touched("a") == []
    assert "not recorded" in done.stdout + done.stderr


def test_with_another_configuration_nothing_is_changed(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other.cfg"
    other.write_text("[defaults]\n", encoding="utf-8")
    done = bench.play([bench.touch("a")], "--limit", "all", ANSIBLE_CONFIG=str(other))
    assert done.returncode != 0
    assert bench.touched("a") == []


def test_a_made_up_run_is_refused(bench: Bench) -> None:
    done = bench.play([bench.touch("a")], "--limit", "all", LAB_RUN="r-20260101T000000-ffff")
    assert done.returncode != 0
    assert "not a run in progress" in done.stderr
    assert bench.touched("a") == []


@pytest.mark.parametrize(
    "task",
    [
        {"delegate_to": "a1-03"},
        {"delegate_to": "{{ groups.all[2] }}"},
    ],
)
def test_no_task_acts_on_a_host_that_no_entry_names(bench: Bench, task: dict[str, object]) -> None:
    done = bench.play([bench.touch("a", **task)], "--limit", "a1-01")
    assert done.returncode != 0
    assert "delegate_to" in done.stderr
    assert bench.touched("a") == []


def test_a_strategy_that_overlaps_tasks_is_refused(bench: Bench) -> None:
    done = bench.play([bench.touch("a")], "--limit", "all", ANSIBLE_STRATEGY="free")
    assert done.returncode != 0
    assert "only linear" in done.stderr
    assert bench.touched("a") == []


def test_what_a_failed_task_changed_is_recorded(bench: Bench) -> None:
    half = {"name": "Half", "ansible.builtin.shell": f"touch {bench.folder}/half; exit 1", "ignore_errors": True}
    loop = {"name": "Loop", "ansible.builtin.command": "{{ item }}", "loop": ["true", "false"], "ignore_errors": True}
    bench.play([half, loop], "--limit", "a1-01")
    first, second = bench.entries("task.failed")
    assert first.body["changed"] is True
    assert [item.get("failed", False) for item in second.body["result"]["items"]] == [False, True]
    assert bench.entries("run.finished")[0].body["outcomes"]["a1-01"]["changed"] == ["Half", "Loop"]


def test_a_playbook_that_breaks_off_has_no_goodbye(bench: Bench) -> None:
    broken = bench.folder / "broken.yml"
    broken.write_text("- name: [", encoding="utf-8")
    done = bench.play(
        [bench.touch("a"), {"name": "In", "ansible.builtin.include_tasks": str(broken)}], "--limit", "all"
    )
    assert done.returncode != 0
    assert bench.entries("recorder.finished") == []
