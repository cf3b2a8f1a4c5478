"""From request to proof, on real PCs: only what was approved, and every PC accounted for."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lab_tool.settings import PROJECT
from tests.integration.conftest import HOST_FAILED, REFUSED, LabRoom
from tests.support.school import AUDITOR, DIRECTOR, TECHNICIAN

pytestmark = pytest.mark.hosts


def test_the_whole_way(lab_room: LabRoom) -> None:
    """Requested, refused, approved by somebody else, run, recorded, proved."""
    change = lab_room.request()
    assert "approve" in lab_room.lab("run", change, code=REFUSED)
    assert TECHNICIAN in lab_room.lab("change", "approve", change, code=REFUSED)
    lab_room.lab("change", "approve", change, person=AUDITOR, code=REFUSED)
    lab_room.lab("change", "approve", change, person=DIRECTOR)
    lab_room.lab("run", change, person=AUDITOR, code=REFUSED)
    answer = lab_room.json("run", change)
    assert {outcome["outcome"] for outcome in answer["outcomes"].values()} == {"changed"}
    assert set(answer["outcomes"]) == {host.name for host in lab_room.hosts}
    for host in lab_room.hosts:
        assert host.run("dpkg-query -W -f '${Version}' lab-demo-editor").stdout == "1.1"

    started = lab_room.entries("run.started", run=answer["run"])[0]
    assert started.actor == TECHNICIAN
    assert started.subject.change == change
    assert started.body["approval"]
    evidence = lab_room.entries("evidence.read", run=answer["run"])
    assert sorted(entry.subject.hosts[0] for entry in evidence) == sorted(host.name for host in lab_room.hosts)
    assert lab_room.entries("run.finished", run=answer["run"])[0].body["ansible_exit_code"] == 0

    assert "has been run" in lab_room.lab("run", change, code=REFUSED)
    lab_room.lab("log", "verify", person=AUDITOR)


def test_a_second_run_changes_nothing(lab_room: LabRoom) -> None:
    answer = lab_room.json("run", lab_room.approved())
    assert {outcome["outcome"] for outcome in answer["outcomes"].values()} == {"ok"}


def test_a_rehearsal_changes_nothing_and_says_so(lab_room: LabRoom) -> None:
    host = lab_room.hosts[0]
    host.offer("lab-demo-editor")
    before = host.run("dpkg -l").stdout
    said = lab_room.lab("plan", "patch", "--host", host.name)
    assert "REHEARSAL" in said
    assert host.run("dpkg -l").stdout == before
    assert lab_room.entries("run.started")[-1].body["check"] is True


def test_a_room_nobody_knows_is_an_error_and_not_all(lab_room: LabRoom) -> None:
    before = len(lab_room.entries("run.started"))
    lab_room.lab("run", "patch", "--room", "a310", code=2)
    lab_room.lab("run", "patch", code=2)
    lab_room.lab("plan", "patch", "--host", "a301-99", code=2)
    assert len(lab_room.entries("run.started")) == before


def test_a_pc_that_was_off_is_not_forgotten(lab_room: LabRoom) -> None:
    first, second = lab_room.hosts[:2]
    for host in (first, second):
        host.offer("lab-demo-editor")
    first.off()
    change = lab_room.approved()
    answer = lab_room.json("run", change, code=HOST_FAILED)
    outcomes = {host: outcome["outcome"] for host, outcome in answer["outcomes"].items()}
    assert outcomes[first.name] == "unreachable"
    assert outcomes[second.name] == "changed"

    first.on()
    rest = lab_room.json("run", "--resume", answer["run"])
    assert {host: outcome["outcome"] for host, outcome in rest["outcomes"].items()} == {first.name: "changed"}
    assert first.run("dpkg-query -W -f '${Version}' lab-demo-editor").stdout == "1.1"
    lab_room.lab("run", "--resume", answer["run"], code=REFUSED)
    lab_room.lab("run", "--resume", rest["run"], code=2)


def test_what_moved_since_the_approval_is_named_and_refused(lab_room: LabRoom) -> None:
    change = lab_room.approved()
    values = lab_room.school.inventory / "group_vars" / "all.yml"
    before = values.read_text(encoding="utf-8")
    values.write_text(before.replace("patch_scope: security", "patch_scope: full"), encoding="utf-8")
    try:
        assert "group_vars/all.yml" in lab_room.lab("run", change, code=REFUSED)
    finally:
        values.write_text(before, encoding="utf-8")
    lab_room.json("run", change)


def test_a_prepared_procedure_runs_inside_its_window_only(lab_room: LabRoom) -> None:
    now = datetime.now(ZoneInfo("Asia/Shanghai"))
    window = f"{now - timedelta(hours=1):%a %H:%M}-{now + timedelta(hours=3):%a %H:%M}"
    open_now = ("--standing", window, "--last-day", str(now.date() + timedelta(days=30)))
    lab_room.lab("run", "patch", "--room", "a301", code=REFUSED)
    change = lab_room.request("--room", "a301", *open_now)
    lab_room.lab("run", "patch", "--room", "a301", code=REFUSED)
    lab_room.lab("change", "approve", change, person=DIRECTOR)
    for _ in range(2):
        assert lab_room.json("run", "patch", "--room", "a301")["change"] == change
    lab_room.lab("run", "patch", "--host", "a301-01")


def test_an_emergency_is_marked_and_overdue_until_somebody_else_approves_it(lab_room: LabRoom) -> None:
    emergency = ("run", "patch", "--host", "a301-01", "--emergency", "Exam in an hour")
    lab_room.lab(*emergency, code=REFUSED)
    answer = lab_room.json(*emergency, person=DIRECTOR)
    marked = lab_room.entries("task.*", run=answer["run"])
    assert marked
    assert all(entry.body["emergency"] is True for entry in marked)
    assert lab_room.json("change", "show", answer["change"])["status"] == "overdue"
    assert answer["change"] in lab_room.lab("change", "list")
    lab_room.lab("change", "approve", answer["change"], person=DIRECTOR, code=REFUSED)


def test_both_verifiers_prove_the_log(lab_room: LabRoom, tmp_path: Path) -> None:
    lab_room.lab("log", "verify", person=AUDITOR)
    signers = tmp_path / "signers"
    signers.write_text(lab_room.lab("log", "keys"), encoding="utf-8")
    log = lab_room.school.state / "log" / "entries.jsonl"
    script = [sys.executable, str(PROJECT / "docs" / "verify_log.py"), str(signers), str(log)]
    checkpoints = [str(path) for path in sorted(lab_room.school.second_place.rglob("*.txt"))]
    assert checkpoints
    done = subprocess.run([*script, *checkpoints], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
