"""The role patch on real PCs, each broken in a way of its own; one run over all of them, judged PC by PC."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.integration.patch_room import PCS, PatchRoom, Result, boot_time, everything, make_trouble, packages, version
from tests.testbed.faults import FAULTS

pytestmark = pytest.mark.hosts

# What the PCs were like before, and what was said of each.
Rehearsal = tuple[Mapping[str, str], dict[str, Result]]
# At each of these a PC refused before anything was installed.
UNTOUCHED = ("full-disk", "big-update", "student", "no-mirror", "stuck", "windows")


@pytest.fixture(scope="module")
def patch_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> PatchRoom:
    """One PC for each trouble, and the trouble made."""
    pcs = room(len(PCS), name="patch", names=lambda seat: f"a301-{seat:02d}")
    built = PatchRoom(LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s")), PCS)
    make_trouble(built)
    return built


@pytest.fixture(scope="module")
def rehearsed(patch_room: PatchRoom) -> Rehearsal:
    """What the PCs were like before a rehearsal on all of them, and what that said."""
    before = {name: everything(host) for name, host in patch_room.pcs.items() if name != "windows"}
    return before, patch_room.patch(check=True)


@pytest.fixture(scope="module")
def before(patch_room: PatchRoom, rehearsed: object) -> Mapping[str, Mapping[str, str]]:
    """The packages of each PC before it is patched."""
    return {name: packages(host) for name, host in patch_room.pcs.items()}


@pytest.fixture(scope="module")
def patched(patch_room: PatchRoom, before: object) -> dict[str, Result]:
    """All PCs patched in one run, and apt free again on the PC that was only busy, once it waits for that."""
    started = boot_time(patch_room["reboot"])
    later = threading.Thread(target=_free_apt_later, args=(patch_room,))
    later.start()
    results = patch_room.patch()
    later.join()
    wait_until(lambda: boot_time(patch_room["reboot"]) != started, 5)
    return results


def _free_apt_later(patch_room: PatchRoom) -> None:
    def installing() -> bool:
        started = patch_room.lab.entries("task.started", run=patch_room.lab.last_run())
        return any(entry.body["task"].endswith("Install the updates in scope") for entry in started)

    before = patch_room.lab.last_run()
    wait_until(lambda: patch_room.lab.last_run() != before)
    wait_until(installing, 300)
    time.sleep(10)
    patch_room["busy"].mend(FAULTS["apt-busy"])


def test_a_rehearsal_changes_nothing(patch_room: PatchRoom, rehearsed: Rehearsal) -> None:
    was, _ = rehearsed
    for name, text in was.items():
        assert everything(patch_room[name]).splitlines() == text.splitlines(), name


def test_a_rehearsal_says_what_would_be(rehearsed: Rehearsal) -> None:
    _, said = rehearsed
    assert said["security"].outcome == "changed"
    assert said["security"].reason == "1 update would be installed"
    assert said["security"].values["pending"] == {"lab-demo-editor": {"installed": "1.0", "available": "1.1"}}
    # It says what is pending also where nothing could be done now.
    assert (said["student"].outcome, said["student"].reason) == ("deferred", "somebody is logged in")
    assert list(said["student"].values["pending"]) == ["lab-demo-editor"]
    assert said["interrupted"].outcome == "changed"
    assert (
        said["interrupted"].reason == "dpkg would finish lab-demo-slow (half-configured); 1 update would be installed"
    )
    assert said["full-disk"].reason.startswith("disk too full: /usr needs ")
    assert said["no-mirror"].outcome == "failed"
    assert said["windows"].outcome == "failed"


def test_security_updates_leave_everything_else(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    host, result = patch_room["security"], patched["security"]
    assert result.outcome == "changed", result.reason
    assert result.values["updated"] == {"lab-demo-editor": {"before": "1.0", "wanted": "1.1", "after": "1.1"}}
    assert result.values["pending"] == {}
    assert result.values["outside_scope"] == 2
    assert result.values["held"] == {"lab-demo-held": {"installed": "1.0", "available": "1.1"}}
    assert version(host, "lab-demo-editor") == "1.1"
    for untouched in ("lab-demo-player", "lab-demo-held", "lab-demo-vendor"):
        assert version(host, untouched) == "1.0"


def test_settings_and_marks_made_on_the_pc_stay(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    host = patch_room["security"]
    assert "# edited here" in host.run("cat /etc/lab-demo-editor.conf").stdout
    assert "lab-demo-editor" in host.run("apt-mark showauto").stdout.split()
    assert host.run("apt-mark showhold").stdout.split() == ["lab-demo-held"]


def test_all_updates_with_third_parties_by_list(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    host, result = patch_room["full"], patched["full"]
    assert result.outcome == "changed", result.reason
    for updated in ("lab-demo-editor", "lab-demo-vendor", "lab-demo-suite", "lab-demo-suite-extra"):
        assert version(host, updated) == "1.1", updated
    assert version(host, "lab-demo-player") == "1.0"
    assert set(result.values["held"]) == {"lab-demo-held", "lab-demo-player"}
    assert result.values["added"] == {"lab-demo-suite-extra": {"wanted": "1.1", "after": "1.1"}}
    assert "lab-demo-suite-extra" in host.run("apt-mark showauto").stdout.split()


def test_an_update_that_was_cut_off_is_finished(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    result = patched["interrupted"]
    assert result.outcome == "changed", result.reason
    assert any("cut off" in task for task in result.changed)
    assert patch_room["interrupted"].run("dpkg --audit").stdout == ""
    assert version(patch_room["interrupted"], "lab-demo-slow") == "1.1"


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_is_refused_is_refused_before_it_starts(
    patch_room: PatchRoom, patched: dict[str, Result], before: Mapping[str, Mapping[str, str]], name: str
) -> None:
    assert patched[name].outcome == ("deferred" if name == "student" else "failed")
    assert packages(patch_room[name]) == before[name]


def test_a_full_disk_says_what_it_needs_and_has(patched: dict[str, Result]) -> None:
    assert patched["full-disk"].reason.startswith("disk too full: /usr needs 50")
    assert patched["big-update"].reason.startswith("disk too full: /usr needs ")


def test_somebody_at_the_pc_is_left_alone_and_not_named(patched: dict[str, Result]) -> None:
    result = patched["student"]
    assert (result.outcome, result.reason, result.changed) == ("deferred", "somebody is logged in", ())
    assert "student" not in str(result.values)


def test_a_package_that_fails_is_named_and_the_others_are_installed(
    patch_room: PatchRoom, patched: dict[str, Result]
) -> None:
    host, result = patch_room["broken"], patched["broken"]
    assert result.outcome == "failed"
    assert "lab-demo-broken" in result.reason
    assert "can't have 1.1" not in result.reason, "what a package's script says stays on the PC"
    assert "half-configured" in str(result.values["unfinished"]["lab-demo-broken"])
    assert version(host, "lab-demo-editor") == "1.1"


def test_a_package_that_was_mended_is_finished_next_time(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    assert patch_room.patch("broken")["broken"].outcome == "failed"
    patch_room["broken"].run("touch /etc/lab-demo-broken.mended")
    assert patch_room.patch("broken")["broken"].outcome == "changed"
    assert patch_room["broken"].run("dpkg --audit").stdout == ""


def test_a_mirror_that_is_down_is_a_failure_and_not_nothing_pending(patched: dict[str, Result]) -> None:
    assert patched["no-mirror"].outcome == "failed"
    assert patched["no-mirror"].reason.startswith("package lists: E: Failed to fetch http://control:9/debian")


def test_a_reboot_that_is_not_allowed_is_not_ok(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    expected = {
        "no-reboot": "patch_reboot is never",
        "late": "the window ended at 2026-01-01T00:00:00Z",
        "latecomer": "somebody has logged in",
    }
    for name, why in expected.items():
        result = patched[name]
        assert result.outcome == "deferred", name
        assert result.reason == f"reboot required: asked for by lab-demo-kernel ({why})"
        assert result.values["reboot_required"] is True
        assert result.values["rebooted_for"] == []
        assert version(patch_room[name], "lab-demo-kernel") == "1.1"


def test_a_reboot_that_is_allowed_happens(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    result = patched["reboot"]
    assert result.outcome == "changed", result.reason
    assert result.values["rebooted_for"] == ["asked for by lab-demo-kernel"]
    assert result.values["reboot_required"] is False
    assert any("Reboot" in task for task in result.changed)
    assert not (patch_room["reboot"].root / "run/reboot-required").exists()


def test_a_lock_is_waited_for_and_not_for_ever(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    assert patched["busy"].outcome == "changed", patched["busy"].reason
    assert version(patch_room["busy"], "lab-demo-editor") == "1.1"
    assert patched["stuck"].outcome == "failed"
    assert patched["stuck"].reason == "apt was in use by something else for 3 s"


def test_a_service_runs_what_is_installed(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    host, result = patch_room["service"], patched["service"]
    assert result.outcome == "changed", result.reason
    assert result.values["services"] == []
    script, process = (
        int(host.run(command).stdout)
        for command in (
            "stat -c %Y /var/lib/dpkg/info/lab-demo-service.list",
            "stat -c %Y /proc/$(systemctl show -P MainPID lab-demo-service)",
        )
    )
    assert process >= script


def test_what_can_t_be_patched_yet_says_so(patched: dict[str, Result]) -> None:
    assert patched["windows"].reason == "patching Windows is not supported yet"


def test_a_second_run_changes_nothing(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    names = ("security", "full", "interrupted", "busy", "service", "reboot", "no-reboot")
    results = patch_room.patch(*names)
    assert {name: result.changed for name, result in results.items()} == dict.fromkeys(names, ())
    expected = {**dict.fromkeys(names, "ok"), "no-reboot": "deferred"}
    assert {name: result.outcome for name, result in results.items()} == expected


def test_the_daily_update_of_the_pc_is_waited_for(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    """The lock is that of apt's own script; while this project holds it, that script waits in turn."""
    host = patch_room["stuck"]
    host.mend(FAULTS["apt-busy"])
    host.run("systemd-run --quiet --unit=daily flock /var/lib/apt/daily_lock sleep 3600")
    assert "daily update or an earlier run was still at work after 3 s" in patch_room.patch("stuck")["stuck"].reason
    host.run("systemctl stop daily")
    assert patch_room.patch("stuck")["stuck"].outcome == "changed"
