"""The role lockdown, from where the student sits: what is forbidden is really tried, before, under and after it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.student_room import (
    ALLOWED,
    ALWAYS,
    BY_PASSWORD,
    CLEAN,
    FORBIDDEN,
    INTERNET,
    INTERNET6,
    OTHER_WEB,
    SCHOOL,
    WEB,
    StudentRoom,
    Tried,
)

pytestmark = pytest.mark.hosts

# Left behind by somebody who means it: links out, names that are options, unreadable folders, a deep tree, a process
# that ignores being asked to end and goes on writing, one that forks as fast as it can.
HOSTILE = r"""
ln -sf /etc/passwd ~/.bashrc; ln -s / ~/root; ln -s /etc /tmp/etc; mkfifo ~/fifo; touch -- ~/-rf $'/tmp/new\nline'
mkdir -p ~/locked/inside && chmod 0 ~/locked; touch /var/tmp/left /dev/shm/left /run/lock/left
cd ~; for i in $(seq 200); do mkdir d && cd d; done; cd ~
systemd-run --user --quiet sleep 1000
setsid bash -c 'trap "" HUP TERM INT; exec 5>~/open; while :; do echo x >&5; done' >/dev/null 2>&1 &
setsid bash -c 'trap "" HUP TERM; ulimit -u 100; f() { sleep 0.1; f & f; }; f' >/dev/null 2>&1 &
sleep 1
"""
LEFT = (
    "ls -A /home/student; find /tmp /var/tmp /dev/shm /run/lock /dev/mqueue /var/spool/cron -user student; "
    "pgrep --uid student || true; ls -A /var/lib/systemd/linger; ls -A /home"
)
# What undo has to give back, beside files: mounts, rules, what logind and units do.
STATE = (
    "findmnt --list --noheadings --output TARGET,OPTIONS | grep -E '^/(home|tmp|var|dev/shm)' | sort; "
    "nft list ruleset; systemctl list-unit-files --no-legend 'lab-[!s]*' '*sleep*' '*suspend*'; id student; "
    "busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
    "KillUserProcesses IdleAction UserStopDelayUSec; readlink /etc/localtime; cat /etc/hosts /etc/hostname; uname -n; "
    "find /etc/polkit-1 /etc/lab /etc/systemd /home -printf '%p %y %m %u %g %l\\n' | sort; "
    "find /etc/polkit-1 /etc/lab /etc/systemd /home -type f -exec sha256sum {} + | sort"
)


@pytest.fixture(scope="module")
def seat(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> StudentRoom:
    """Two machines, the first of them the student's."""
    pcs = room(2, name="seat", names=lambda number: f"a301-{number:02d}")
    built = StudentRoom(LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s")))
    built.prepare()
    return built


@pytest.fixture(scope="module")
def before(seat: StudentRoom) -> tuple[dict[str, Tried], str]:
    """What the student could do, and the PC's state, before anything was locked down."""
    tried = seat.tries({**FORBIDDEN, **ALLOWED})
    seat.pc.run(CLEAN, check=False)
    seat.pc.run("rm -rf /home/student/.local /home/student/* /tmp/copy /var/tmp/copy /dev/shm/copy")
    return tried, seat.pc.run(STATE, check=False).stdout


@pytest.fixture(scope="module")
def locked(seat: StudentRoom, before: object) -> Mapping[str, Any]:
    """Locked down as a student's PC."""
    return seat.play("lockdown", lockdown_blocked_hosts=["games.example"], lockdown_off_patience_minutes=0)


@pytest.fixture(scope="module")
def tried(seat: StudentRoom, locked: object) -> dict[str, Tried]:
    """What the student can do then."""
    return seat.tries({**FORBIDDEN, **ALLOWED})


def test_every_control_is_in_effect(locked: Mapping[str, Any]) -> None:
    assert locked["outcome"] == "changed", locked
    assert locked["wrong"] == {}


@pytest.mark.parametrize("act", FORBIDDEN)
def test_what_is_forbidden_fails(act: str, before: tuple[dict[str, Tried], str], tried: dict[str, Tried]) -> None:
    was, now = before[0][act], tried[act]
    assert now.code != 0, now
    if act in BY_PASSWORD:
        assert "uthenticat" in was.said, was
        assert "uthenticat" not in now.said, now
    elif act not in ALWAYS:
        assert was.code == 0, was


@pytest.mark.parametrize("act", ALLOWED)
def test_what_lessons_need_works(act: str, tried: dict[str, Tried]) -> None:
    assert tried[act].code == 0, tried[act]


def test_the_scanner_lives(seat: StudentRoom, tried: object) -> None:
    assert seat.pc.run("systemctl is-active lab-scanner").stdout.strip() == "active"


def test_a_session_leaves_nothing_behind(seat: StudentRoom, locked: object) -> None:
    assert seat.student(HOSTILE).returncode == 0
    seat.gone()
    kept = seat.pc.run("cat /var/lib/lab-session/kept/student").stdout.strip().rpartition("/")[2]
    fresh = seat.pc.run("ls -A /etc/skel").stdout.split()
    assert sorted(seat.pc.run(LEFT).stdout.split()) == sorted([*fresh, "lab-admin", "student", kept])
    assert seat.pc.run("stat --format=%U:%G:%a /home/student").stdout.strip() == "student:student:700"
    assert "root:x:0:0" in seat.pc.run("cat /etc/passwd").stdout


def test_names_of_games_lead_nowhere(seat: StudentRoom, locked: object) -> None:
    said = seat.student("getent ahosts games.example | cut -d' ' -f1 | sort -u").stdout
    assert set(said.split()) <= {"0.0.0.0", "::"}
    assert said


def test_the_next_session_waits_for_the_end_of_the_last(seat: StudentRoom, locked: object) -> None:
    # Also of somebody who hurries: systemd allows five starts in ten seconds.
    for _ in range(8):
        found = seat.student("ls -A; for i in $(seq 2000); do echo x >file$i; done")
        assert "file1" not in found.stdout, found.stdout


def test_nothing_is_left_after_a_power_cut(seat: StudentRoom, locked: object) -> None:
    with seat.sitting("date >~/essay; sync"):
        wait_until(lambda: seat.pc.run("cat /home/student/essay", check=False).returncode == 0)
        seat.pc.off()
    seat.pc.on()
    seat.pc.wait_for_boot()
    assert seat.pc.run("ls /home/student").stdout == ""
    # And what was locked down is so after a boot.
    acts = ("run a copy in the home", "run a copy in /tmp", "outlive the session")
    tried = seat.tries({name: FORBIDDEN[name] for name in acts})
    assert all(act.code != 0 for act in tried.values()), tried
    assert "table inet lab_ports" in seat.pc.run("nft list ruleset").stdout


def test_a_pc_in_use_stays_on_when_the_room_closes(seat: StudentRoom, locked: object) -> None:
    with seat.sitting("touch ~/here"):
        wait_until(lambda: seat.pc.run("ls /home/student/here", check=False).returncode == 0)
        seat.pc.run("systemctl start lab-power-off.service")
        assert seat.pc.is_on
    seat.gone()
    seat.pc.run("systemctl start --no-block lab-power-off.service")
    wait_until(lambda: not seat.pc.is_on)
    seat.pc.on()
    seat.pc.wait_for_boot()


def test_an_exam_reaches_the_named_hosts_only(seat: StudentRoom, locked: object) -> None:
    hosts = [{"name": "exam.school.example", "addresses": [seat.other.address, SCHOOL], "ports": [str(WEB)]}]
    nodes = [seat.lab.pcs.control]
    made = seat.play("lockdown", lab_profile="exam", lockdown_exam_hosts=hosts, lockdown_control_nodes=nodes)
    assert made["wrong"] == {}
    reach = "python3 /srv/reach.py"
    acts = {
        "by name": f"{reach} exam.school.example {WEB}",
        "by address": f"{reach} {seat.other.address} {WEB}",
        "IPv6": f"{reach} {SCHOOL} {WEB}",
        "no other port": f"{reach} {seat.other.address} {OTHER_WEB}",
        "no Internet": f"{reach} {INTERNET} {WEB}",
        "no Internet, IPv6": f"{reach} {INTERNET6} {WEB}",
        "no tunnel": f"timeout 5 ssh -o BatchMode=yes -D 1080 {seat.other.address} true",
        "no control node": f"{reach} {seat.lab.pcs.control} 22",
        "no ping": f"ping -c 1 -W 1 {INTERNET}",
        "no name server": f'python3 -c \'import socket; socket.socket(2, 2).sendto(b"x", ("{INTERNET}", 53))\'',
    }
    tried = seat.tries(acts)
    assert {name for name, act in tried.items() if act.code == 0} == {"by name", "by address", "IPv6"}, tried
    # Nor does root get out, and nobody but the control node comes in.
    assert seat.pc.run(f"{reach} {INTERNET} {WEB}", check=False).returncode != 0
    knock = f"python3 -c 'import socket; socket.create_connection((\"{seat.pc.address}\", 22), timeout=2)'"
    assert seat.other.run(knock, check=False).returncode != 0


def test_the_control_room_reaches_the_school_only(seat: StudentRoom, locked: object) -> None:
    networks = [f"{seat.other.address}/32", "fd00:1ab::/64"]
    nodes = [seat.lab.pcs.control]
    made = seat.play(
        "lockdown", lab_profile="control", lockdown_control_networks=networks, lockdown_control_nodes=nodes
    )
    assert made["wrong"] == {}
    reach = "python3 /srv/reach.py"
    for address, code in ((seat.other.address, 0), (SCHOOL, 0), (INTERNET, 1), (INTERNET6, 1)):
        assert seat.pc.run(f"{reach} {address} {WEB}", check=False).returncode == code, address
    # A firewall that flushes everything takes ours with it and brings it back.
    seat.pc.run("systemctl restart nftables")
    assert seat.pc.run(f"{reach} {INTERNET} {WEB}", check=False).returncode == 1
    seat.pc.run("nft list table inet lab_control_room; nft delete table inet filter")


def test_everything_is_undone(seat: StudentRoom, before: tuple[dict[str, Tried], str], tried: object) -> None:
    assert seat.play("lockdown_undo")["outcome"] == "changed"
    now = seat.pc.run(STATE, check=False).stdout
    differences = "\n".join(unified_diff(before[1].splitlines(), now.splitlines(), lineterm="", n=0))
    assert not differences, differences
    tries = seat.tries({name: text for name, text in FORBIDDEN.items() if name not in ALWAYS | BY_PASSWORD})
    assert {name: act for name, act in tries.items() if act.code != 0} == {}
