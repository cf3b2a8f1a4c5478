"""Removable media on a PC of the testbed: exceptions as changes, ended by the PC itself; what a student may ask for.

A container has no USB bus: from plug to mount the control is tested on a virtual PC (`make vm`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import HOST_FAILED, LabRoom, school_around, wait_until
from tests.integration.lockdown_room import only, play
from tests.support.school import DIRECTOR

pytestmark = pytest.mark.hosts

EXCEPTION = "var/lib/lab/media/exception.json"


@pytest.fixture(scope="module")
def lab(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> LabRoom:
    """One PC, with polkit and udisks as a desktop has them."""
    pcs = room(1, name="media", names=lambda seat: f"a301-{seat:02d}")
    pcs.hosts[0].use_stock()
    pcs.hosts[0].run("apt-get install --yes --no-install-recommends polkitd udisks2")
    return LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))


@pytest.fixture(scope="module")
def locked(lab: LabRoom) -> LabRoom:
    """The media controls in effect, but for the one that admits what is scanned."""
    result = play(lab, "lockdown", lab.hosts[0], _controls())
    assert (result.outcome, result.reason) == ("changed", "")
    return lab


def _controls() -> dict[str, dict[str, bool]]:
    controls = only("media_", "baseline_polkit")["lockdown_controls"]
    return {"lockdown_controls": {**controls, "media_scanned": False}}


def _moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _admit(lab: LabRoom, until: str, *more: str, code: int = 0) -> Any:
    """Request, approve and run an exception; what the PC's evidence says."""
    given = [f"lockdown_media_until={until}", "lockdown_media_reason=A contest", *more]
    settings = [word for setting in given for word in ("--set", setting)]
    answer = lab.json("change", "request", "media_exception", "--room", "a301", *settings, "--why", "A contest")
    lab.lab("change", "approve", answer["id"], person=DIRECTOR)
    lab.lab("run", answer["id"], code=code)
    return lab.entries("evidence.read", run=lab.last_run())[-1].body["evidence"]


def _status(lab: LabRoom) -> Any:
    return json.loads(lab.hosts[0].run("/usr/local/libexec/lab-media status").stdout)


def test_without_the_control_there_is_no_exception(lab: LabRoom) -> None:
    evidence = _admit(lab, _moment(3600), code=HOST_FAILED)
    assert evidence["reason"].endswith("removable media is not locked down on this PC: run lockdown first")
    assert not (lab.hosts[0].root / EXCEPTION).exists()


def test_a_second_run_changes_nothing(locked: LabRoom) -> None:
    result = play(locked, "lockdown", locked.hosts[0], _controls())
    assert (result.outcome, result.reason, result.changed) == ("ok", "", ())


def test_a_student_may_have_nothing_mounted(locked: LabRoom) -> None:
    host = locked.hosts[0]
    for action in ("filesystem-mount", "loop-setup", "encrypted-unlock"):
        asked = f"pkcheck --action-id org.freedesktop.udisks2.{action} --process $$"
        # 1 is no; 2 would be yes with a password.
        assert host.run(f"runuser -u student -- sh -c '{asked}'", check=False).returncode == 1
        assert host.run(f"sh -c '{asked}'", check=False).returncode == 0
    host.run("runuser -u student -- truncate -s 1M /home/student/disk")
    assert host.run("runuser -u student -- mount -o loop /home/student/disk /mnt", check=False).returncode


def test_an_fstab_that_lets_users_mount_is_told(locked: LabRoom) -> None:
    host = locked.hosts[0]
    host.run("echo '/dev/sdz1 /mnt auto noauto,user 0 0' >>/etc/fstab")
    result = play(locked, "lockdown", host, _controls())
    host.run("sed -i /sdz1/d /etc/fstab")
    assert result.outcome == "failed"
    assert "/etc/fstab lets ordinary users mount something" in result.reason


def test_an_exception_is_a_change_and_ends_by_itself(locked: LabRoom) -> None:
    host = locked.hosts[0]
    # Long enough for a run on a busy machine.
    until = _moment(60)
    evidence = _admit(locked, until, "lockdown_media_devices=S1,S2")
    assert (evidence["outcome"], evidence["reason"]) == ("ok", f"in force until {until}")
    assert evidence["values"] == {"admits": "never", "until": until, "devices": ["S1", "S2"], "mounted": []}
    # The control node is not needed for its end, nor does the clock of the PC prolong it: see also tests/vm.
    host.unplug()
    wait_until(lambda: not (host.root / EXCEPTION).exists(), 120)
    assert _status(locked)["exception"] is None
    assert host.run("systemctl is-active lab-media-tick.timer", check=False).stdout.strip() == "inactive"
    host.plug_in()
    host.wait_for_ssh()


def test_its_end_is_at_boot_where_the_pc_was_off(locked: LabRoom) -> None:
    host = locked.hosts[0]
    _admit(locked, _moment(3600))
    host.off()
    path = host.root / EXCEPTION
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "until": 1}), encoding="utf-8")
    host.on()
    wait_until(lambda: not path.exists())
    assert _status(locked)["exception"] is None


def test_it_lasts_over_a_reboot_and_a_lockdown(locked: LabRoom) -> None:
    host = locked.hosts[0]
    _admit(locked, _moment(3600))
    host.reboot()
    assert _status(locked)["exception"] is not None
    assert host.run("systemctl is-active lab-media-until.timer").stdout.strip() == "active"
    result = play(locked, "lockdown", host, _controls())
    assert (result.outcome, result.changed) == ("ok", ())
    evidence = _admit(locked, "")
    assert (evidence["outcome"], evidence["values"]["until"]) == ("ok", "")
    assert not (host.root / EXCEPTION).exists()


@pytest.mark.parametrize("seconds", [-60, 15 * 86400])
def test_the_past_and_what_is_too_far_ahead_are_refused(locked: LabRoom, seconds: int) -> None:
    evidence = _admit(locked, _moment(seconds), code=HOST_FAILED)
    assert "within 14 days" in evidence["reason"]
    assert not (locked.hosts[0].root / EXCEPTION).exists()


def test_undo_leaves_nothing(locked: LabRoom) -> None:
    host = locked.hosts[0]
    assert play(locked, "lockdown_undo", host).outcome == "changed"
    left = "find /etc /usr/local /run/systemd /var/lib/lab -name '*lab-media*' -o -name media | sort"
    assert host.run(left).stdout == ""
    assert "lab-media" not in host.run("systemctl list-units --all --no-legend").stdout
