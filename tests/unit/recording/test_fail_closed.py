"""What can't be recorded is not done: the log's disk fills, its folder is lost, evidence can't be written down."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.recording.conftest import Bench

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk for the log")


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Path]:
    """The state folder on a disk of 64 KiB of its own."""
    bench.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(bench.state)], check=True)
    yield bench.state
    subprocess.run(["umount", str(bench.state)], check=True)


@root_only
def test_a_full_disk_stops_the_run_before_the_first_change(bench: Bench, small_disk: Path) -> None:
    fill(small_disk)
    done = bench.play([bench.touch("a")], "--limit", "all")
    assert done.returncode != 0
    assert "lab_recorder: stopped before the next change" in done.stderr
    assert bench.touched("a") == []


@root_only
def test_a_disk_that_fills_during_the_run_stops_it_before_the_next_change(bench: Bench, small_disk: Path) -> None:
    filling = {
        "name": "Fill the disk of the log",
        "ansible.builtin.shell": f"dd if=/dev/zero of={small_disk}/ballast bs=4k || true",
        "run_once": True,
        "changed_when": False,
    }
    # The last page of the log has room for a few entries yet: how many depends on the length of paths.
    later = [f"after{number}" for number in range(12)]
    tasks = [bench.touch("before"), filling, *(bench.touch(name) for name in later)]
    done = bench.play(tasks, "--limit", "all", "--forks", "1")
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert len(bench.touched("before")) == 3
    assert bench.touched(later[-1]) == []
    lines = (small_disk / "log" / "entries.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["seq"] for entry in entries] == list(range(len(lines)))
    intended = {entry["body"]["task"] for entry in entries if entry["kind"] == "task.started"}
    assert {name for name in later if bench.touched(name)} <= {task.removeprefix("Touch ") for task in intended}


def test_one_host_at_a_time_stops_at_the_host_whose_change_has_no_entry(bench: Bench) -> None:
    """A file size limit stands for the full disk where there is no root: the log can grow by a few entries only."""
    limited = ["prlimit", "--fsize=3000", *bench.argv([bench.touch("a")], "--limit", "all", "--forks", "1")]
    done = subprocess.run(
        limited,
        env=bench.environment(ANSIBLE_LOCAL_TEMP=str(bench.folder)),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert len(bench.touched("a")) < 3


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("'values': {'share': 0.5}", "takes objects, arrays, strings, integers"),
        ("'verb': 'patch', 'values': {}", "it is none of odd"),
        ("'values': []", "outcome, reason or values is missing"),
        ("'outcome': {}, 'values': {}", "outcome, reason or values is missing"),
        ("'values': {'a': 'x' * 1100000}", "bytes"),
    ],
)
def test_a_pc_speaks_for_its_own_verb_only_and_stops_nobody(bench: Bench, tmp_path: Path, odd: str, words: str) -> None:
    """What a PC sends as evidence may be anything. It is then none, the PC is not ok, and the others go on."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "lab_odd_evidence.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        f"evidence = {{'verb': 'odd', 'outcome': 'ok', 'reason': '', {odd}}}\n"
        "AnsibleModule({}, supports_check_mode=True).exit_json(evidence=evidence)\n",
        encoding="utf-8",
    )
    bench.play([{"name": "Read back", "lab_odd_evidence": None}], "--limit", "a1-01", ANSIBLE_LIBRARY=str(modules))
    assert bench.entries("evidence.read") == []
    (refused,) = bench.entries("evidence.refused")
    assert words in refused.body["why"]
    (finished,) = bench.entries("run.finished")
    assert finished.body["outcomes"]["a1-01"]["outcome"] == "failed"


def fill(folder: Path) -> None:
    """Leave no byte free."""
    ballast = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(ballast, b"\0" * 4096):
            pass
    os.close(ballast)
