"""Runs that end badly: interrupted, killed, overlapped, out of disk. The log tells, and the rest can be done."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import REFUSED, LabRoom, wait_until
from tests.support.school import TECHNICIAN
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts
CONFIGURING = "test -e /run/lab-demo-slow.configuring"


@pytest.fixture
def slow_host(lab_room: LabRoom) -> Iterator[TestHost]:
    """A PC whose update takes a minute, so that it can be caught in the middle."""
    host = lab_room.hosts[0]
    host.offer("lab-demo-slow")
    host.run("rm -f /run/lab-demo-slow.configuring; touch /run/lab-demo-slow")
    yield host
    host.run("rm -f /run/lab-demo-slow /run/lab-demo-slow.configuring")


def begin(lab_room: LabRoom, host: TestHost) -> tuple[str, subprocess.Popen[str]]:
    """Start an approved run on the slow PC and one other, and wait until it is in the middle of the update."""
    change = lab_room.approved("--host", host.name, "--host", lab_room.hosts[1].name)
    process = lab_room.start("run", change)
    wait_until(lambda: host.run(CONFIGURING, check=False).returncode == 0)
    return change, process


def let_go(host: TestHost) -> None:
    """Let the slow update end, and wait until the PC's package manager is at rest."""
    host.run("rm -f /run/lab-demo-slow; pkill -x sleep || true")
    wait_until(lambda: host.run("fuser /var/lib/dpkg/lock-frontend || ! pgrep -x dpkg", check=False).returncode == 0)


def children(pid: int) -> list[int]:
    """The processes below a process."""
    below: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            below += [child, *children(child)]
    return below


def resume(lab_room: LabRoom, run: str) -> dict[str, str]:
    """Do the rest; the outcome by host."""
    answer = lab_room.json("run", "--resume", run)
    return {host: outcome["outcome"] for host, outcome in answer["outcomes"].items()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_an_interrupted_run_says_so_and_can_be_resumed(
    lab_room: LabRoom, slow_host: TestHost, number: signal.Signals
) -> None:
    _, process = begin(lab_room, slow_host)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    run = lab_room.last_run()
    finished = lab_room.entries("run.finished", run=run)[0]
    assert finished.body["interrupted"] is True
    assert finished.body["outcomes"][slow_host.name]["outcome"] in ("failed", "missing")
    let_go(slow_host)
    assert resume(lab_room, run)[slow_host.name] in ("changed", "ok")


@pytest.mark.parametrize("victim", ["lab", "ansible", "everything"])
def test_a_killed_run_is_told_from_the_log(lab_room: LabRoom, slow_host: TestHost, victim: str) -> None:
    """kill -9 of `lab`, of Ansible's main process, or of the whole tree, as at a power cut."""
    _, process = begin(lab_room, slow_host)
    tree = children(process.pid)
    victims = {"lab": [process.pid], "ansible": tree[:1], "everything": [process.pid, *tree]}[victim]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=90)
    run = lab_room.last_run()
    let_go(slow_host)
    wait_until(lambda: not [pid for pid in tree if Path(f"/proc/{pid}").exists()], 90)
    outcomes = resume(lab_room, run)
    assert outcomes[slow_host.name] in ("changed", "ok")
    told = lab_room.entries("run.interrupted", "run.finished", run=run)
    assert len(told) == 1
    if told[0].kind == "run.interrupted":
        assert slow_host.name in told[0].body["in_doubt"] + told[0].body["reached"]
    lab_room.lab("log", "verify")


def test_a_second_run_on_the_same_host_is_told_who_and_since_when(lab_room: LabRoom, slow_host: TestHost) -> None:
    other = lab_room.approved("--host", slow_host.name)
    _, process = begin(lab_room, slow_host)
    said = lab_room.lab("run", other, code=REFUSED)
    assert slow_host.name in said
    assert TECHNICIAN in said
    assert lab_room.last_run() in said
    let_go(slow_host)
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_playbook_by_hand_is_kept_off_a_host_in_use(lab_room: LabRoom, slow_host: TestHost) -> None:
    _, process = begin(lab_room, slow_host)
    done = lab_room.school.playbook("playbooks/patch.yml", "--limit", slow_host.name)
    assert done.returncode != 0
    assert "in use by run" in done.stderr
    let_go(slow_host)
    process.communicate(timeout=120)


@pytest.fixture
def log_on_a_small_disk(lab_room: LabRoom) -> Iterator[Path]:
    """The log on a disk of its own, 1 MiB."""
    log = lab_room.school.state / "log"
    log.mkdir(mode=0o700, exist_ok=True)
    kept = log.with_name("log-kept")
    log.rename(kept)
    log.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(log)], check=True)
    yield log
    subprocess.run(["umount", str(log)], check=True)
    log.rmdir()
    kept.rename(log)


def test_a_full_disk_stops_the_run_before_the_next_change(
    lab_room: LabRoom, slow_host: TestHost, log_on_a_small_disk: Path
) -> None:
    """The disk of the log fills while one PC is in its update: what comes after is not begun."""
    _, process = begin(lab_room, slow_host)
    ballast = os.open(log_on_a_small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(ballast, b"\0" * 4096):
            pass
    except OSError:
        os.close(ballast)
    let_go(slow_host)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "No space left" in said
    assert "Traceback" not in said, said
    (log_on_a_small_disk / "ballast").unlink()
    run = lab_room.last_run()
    assert not lab_room.entries("evidence.read", run=run)
    assert resume(lab_room, run)[slow_host.name] in ("changed", "ok")
    assert len(lab_room.entries("run.interrupted", "run.finished", run=run)) == 1


def test_by_hand_nothing_is_changed_where_the_log_cant_be_written(lab_room: LabRoom) -> None:
    host = lab_room.hosts[2]
    host.offer("lab-demo-editor")
    log = lab_room.school.state / "log"
    aside = log.with_name("aside")
    log.rename(aside)
    log.symlink_to(aside)
    try:
        done = lab_room.school.playbook("playbooks/patch.yml", "--limit", host.name)
    finally:
        log.unlink()
        aside.rename(log)
    assert done.returncode != 0
    assert host.run("dpkg-query -W -f '${Version}' lab-demo-editor").stdout == "1.0"


def test_by_hand_it_is_recorded_as_outside_procedure(lab_room: LabRoom) -> None:
    host = lab_room.hosts[2]
    host.offer("lab-demo-editor")
    done = lab_room.school.playbook("playbooks/patch.yml", "--limit", host.name)
    assert done.returncode == 0, done.stdout + done.stderr
    started = lab_room.entries("run.started")[-1]
    assert started.body["outside"] is True
    finished = lab_room.entries("run.finished", run=started.subject.run)[0]
    assert finished.body["outcomes"][host.name]["outcome"] == "changed"
