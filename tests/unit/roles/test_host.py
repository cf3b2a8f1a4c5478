"""What the PC says of itself: needrestart, disk space, dpkg's states, sessions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_patch import dpkg, host, sessions
from lab_tool.plugins.module_utils.lab_patch.packages import Selection, Step
from lab_tool.plugins.module_utils.lab_patch.programs import Programs

MIB = 1024**2
NOTHING = Selection({}, {}, {}, {}, (), 0, 0, 0, 0)
ONE = Selection({"a": Step("1", "2")}, {}, {}, {}, (), 0, download=20 * MIB, grows=30 * MIB, largest=40 * MIB)


def answering(answers: Mapping[str, str]) -> Programs:
    """Programs that say what is given by the start of their command line; anything else fails."""

    def run(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        line = " ".join(argv)
        said = next((out for start, out in answers.items() if line.startswith(start)), None)
        return (1, "", "") if said is None else (0, said, "")

    return Programs(run, 0)


def test_needrestart_on_a_pc_whose_kernel_waits() -> None:
    found = host.read_needrestart(
        "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-17-amd64\nNEEDRESTART-KEXP: 6.1.0-18-amd64\n"
        "NEEDRESTART-KSTA: 3\nNEEDRESTART-SVC: ssh.service\nNEEDRESTART-SVC: cron.service\n"
        "NEEDRESTART-SESS: pupil @ session #5\n",
        "6.1.0-17-amd64",
    )
    assert found == host.Restarts(
        True, ("cron.service", "ssh.service"), 1, "6.1.0-17-amd64", "6.1.0-18-amd64", kernel_waits=True
    )
    assert "kernel 6.1.0-17-amd64 runs, 6.1.0-18-amd64 is installed" in host.reboot_reasons(found)


def test_needrestart_when_the_same_kernel_was_built_anew() -> None:
    found = host.read_needrestart(
        "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-17-amd64\nNEEDRESTART-KSTA: 2\n", "6.1.0-17-amd64"
    )
    assert host.reboot_reasons(found) == ["kernel 6.1.0-17-amd64 runs, a newer build is installed"]


@pytest.mark.parametrize("state", ["0", "1"])
def test_needrestart_when_no_kernel_waits(state: str) -> None:
    found = host.read_needrestart(f"NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: x\nNEEDRESTART-KSTA: {state}\n", "x")
    assert not found.kernel_waits


def test_needrestart_in_a_container_and_one_that_says_nothing() -> None:
    assert host.read_needrestart("NEEDRESTART-VER: 3.6\n", "6.1").kernel_running == "6.1"
    assert not host.read_needrestart("", "6.1").known


def test_a_package_asks_for_a_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "REBOOT_FLAG", str(tmp_path / "reboot-required"))
    assert host.reboot_reasons(host.Restarts(True)) == []
    (tmp_path / "reboot-required").touch()
    assert host.reboot_reasons(host.Restarts(True)) == ["asked for by a package"]
    (tmp_path / "reboot-required.pkgs").write_text("linux-image\nlibc6\nlinux-image\n")
    assert host.reboot_reasons(host.Restarts(True)) == ["asked for by libc6, linux-image"]


def test_disk_space_is_needed_only_for_something() -> None:
    assert host.needs(NOTHING, 500 * MIB) == {}


def test_disk_space_is_apt_s_estimate_the_largest_package_and_the_reserve() -> None:
    assert host.needs(ONE, 500 * MIB) == {"/usr": 570 * MIB, host.ARCHIVES: 20 * MIB}


def test_what_shrinks_gives_no_credit() -> None:
    shrinking = Selection({"a": Step("1", "2")}, {}, {}, {}, (), 0, download=0, grows=-900 * MIB, largest=40 * MIB)
    assert host.needs(shrinking, 0)["/usr"] == 40 * MIB


def test_a_kernel_needs_room_to_boot_from() -> None:
    kernel = Selection({}, {"linux-image-6.1.0-18-amd64": "6.1"}, {}, {}, (), 0, 0, 0, 0)
    assert host.needs(kernel, 0)["/boot"] == host.KERNEL_NEEDS


def test_folders_on_one_file_system_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 blocks of 1 MiB, of which others than root may use 60.
    state = os.statvfs_result((MIB, MIB, 200, 100, 60, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: state)
    usr, missing = str(tmp_path), str(tmp_path / "not" / "there")
    assert host.shortages({usr: 30 * MIB, missing: 30 * MIB}) == []
    (shortage,) = host.shortages({usr: 30 * MIB, missing: 30 * MIB + 1})
    assert str(shortage) == f"disk too full: {usr} needs 61 MiB, has 60 MiB"


def test_dpkg_s_unfinished_packages() -> None:
    listed = (
        "ii |a|installed\nhi |held|installed\nrc |gone|config-files\niF |half|half-configured\nuH |h|half-installed\n"
    )
    found = dpkg.unfinished(
        answering({"dpkg-query": listed + "iiR|r|installed\niU |u|unpacked\niW |w|triggers-awaited\n"})
    )
    assert found == {
        "half": "half-configured",
        "h": "half-installed",
        "r": "reinst-required",
        "u": "unpacked",
        "w": "triggers-awaited",
    }


LOGIND: Mapping[str, str] = {"Class": "user", "State": "active", "Type": "tty", "TTY": "pts/0", "Leader": "7"}


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"Type": "wayland", "TTY": ""}, True),
        ({"Type": "x11", "TTY": "tty2"}, True),
        ({"Remote": "yes"}, True),
        ({"State": "online"}, True),
        ({"State": "closing"}, False),
        ({"Class": "greeter", "Type": "wayland"}, False),
        ({"Class": "manager"}, False),
        ({"TTY": ""}, False),
    ],
)
def test_sessions_of_people(changes: Mapping[str, str], counts: bool) -> None:
    assert (sessions.read_logind({**LOGIND, **changes}) is not None) is counts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "pupil    pts/1        2026-11-24 10:20 00:05        1234 (198.51.100.7)",
            sessions.Session("pts/1", True, 1234),
        ),
        ("pupil    tty1         2026-11-24 10:20   .           77", sessions.Session("tty1", False, 77)),
        ("pupil    :0           2026-11-24 10:20   ?          901 (:0)", sessions.Session(":0", False, 901)),
        ("reboot ~ 2026-11-24 10:20", None),
        ("", None),
    ],
)
def test_lines_of_who(line: str, expected: sessions.Session | None) -> None:
    assert sessions.read_who(line) == expected


@pytest.fixture
def somebody() -> Callable[[int], Programs]:
    """One session, known to both logind and `who`, led by the process given."""

    def build(leader: int) -> Programs:
        shown = "\n".join(f"{key}={value}" for key, value in {**LOGIND, "Leader": str(leader)}.items())
        return answering(
            {
                "loginctl list-sessions": "5 1000 pupil seat0 pts/0\n",
                "loginctl show-session 5": shown,
                "who": f"pupil pts/0 2026-11-24 10:20 . {leader}\n",
            }
        )

    return build


def test_one_person_is_counted_once(somebody: Callable[[int], Programs]) -> None:
    assert len(sessions.present(somebody(99999999))) == 1


def test_the_session_this_runs_in_does_not_count(somebody: Callable[[int], Programs]) -> None:
    assert sessions.present(somebody(os.getppid())) == []
