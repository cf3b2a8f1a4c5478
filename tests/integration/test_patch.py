"""The role patch on real PCs, each broken in a way of its own; one run over all of them, judged PC by PC."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from lab_tool.log.query import Query, find
from tests.conftest import BuildRoom
from tests.integration.conftest import LabRoom, school_around, wait_until
from tests.testbed.faults import FAULTS
from tests.testbed.room import TestHost

pytestmark = pytest.mark.hosts

# What is broken on which PC, and the settings the PC has in the inventory.
PCS: Mapping[str, Mapping[str, object]] = {
    "security": {},
    "full": {
        "patch_scope": "full",
        "patch_hold": ["lab-demo-play*"],
        "patch_third_party": [{"origin": "Lab Vendor", "packages": ["lab-demo-vendor"]}],
    },
    "interrupted": {},
    "full-disk": {},
    "big-update": {"patch_disk_reserve": 0},
    "student": {},
    "broken": {},
    "no-mirror": {},
    "no-reboot": {},
    "reboot": {"patch_reboot": "if_required"},
    "late": {"patch_reboot": "if_required", "patch_reboot_until": "2026-01-01T00:00:00Z"},
    "latecomer": {"patch_reboot": "if_required"},
    "busy": {},
    "stuck": {"patch_lock_timeout": 3},
    "service": {},
    "windows": {"lab_os": "windows11"},
}
# At each of these a PC refused before anything was installed.
UNTOUCHED = ("full-disk", "big-update", "student", "no-mirror", "stuck", "windows")


@dataclass(frozen=True, slots=True)
class Result:
    """What the log says of one PC after a run."""

    outcome: str
    reason: str
    changed: tuple[str, ...]
    values: Mapping[str, Any]


class PatchRoom:
    """The PCs by what is wrong with them."""

    def __init__(self, lab: LabRoom) -> None:
        self.lab = lab
        self.pcs: dict[str, TestHost] = dict(zip(PCS, lab.hosts, strict=True))
        self._settings = {self[name].name: dict(settings) for name, settings in PCS.items()}

    def __getitem__(self, name: str) -> TestHost:
        return self.pcs[name]

    def set(self, name: str, settings: Mapping[str, object]) -> None:
        """Give a PC other settings."""
        self._settings[self[name].name] = dict(settings)

    def patch(self, *names: str, check: bool = False) -> dict[str, Result]:
        """Run the playbook on these PCs (none: all); what the log says of each afterwards."""
        options = ("--check", "--diff") if check else ()
        said = self.playbook("playbooks/patch.yml", names or tuple(PCS), *options)
        assert "PLAY RECAP" in said, said
        return self._results(self.lab.last_run())

    def playbook(self, playbook: str, names: tuple[str, ...], *options: str) -> str:
        """Run a playbook on these PCs; its output. A school has no variables of single PCs, so they stand beside."""
        beside = self.lab.school.folder / "beside.yml"
        beside.write_text(yaml.safe_dump({"all": {"hosts": self._settings}}), encoding="utf-8")
        limit = ",".join(self[name].name for name in names)
        done = self.lab.school.playbook(
            "-i", str(beside), playbook, "--limit", limit, *options, ANSIBLE_INVENTORY_ENABLED="lab_rooms,yaml"
        )
        return done.stdout + done.stderr

    def _results(self, run: str) -> dict[str, Result]:
        log = self.lab.school.state / "log"
        finished = find(log, Query(run=run, kinds=("run.finished",)))[0].body["outcomes"]
        evidence = {
            entry.subject.hosts[0]: entry.body["evidence"]
            for entry in find(log, Query(run=run, kinds=("evidence.read",)))
        }
        names = {host.name: name for name, host in self.pcs.items()}
        return {
            names[host]: Result(
                outcome["outcome"],
                outcome["reason"],
                tuple(outcome["changed"]),
                evidence.get(host, {}).get("values", {}),
            )
            for host, outcome in finished.items()
        }


def packages(host: TestHost) -> dict[str, str]:
    """What dpkg says is installed: state and version of each package."""
    lines = host.run("dpkg-query -W -f '${Package} ${db:Status-Abbrev}${Version}\\n'").stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def version(host: TestHost, package: str) -> str:
    """The installed version of a package."""
    return host.run(f"dpkg-query -W -f '${{Version}}' {package}").stdout


def everything(host: TestHost) -> str:
    """What a rehearsal must leave as it is: packages, their marks, apt's lists, settings, what runs."""
    return host.run(
        "dpkg -l; apt-mark showauto; apt-mark showhold; find /etc /boot /srv /var/lib/dpkg /var/lib/apt /var/cache "
        "-xdev -type f -printf '%p %s %T@\\n' | sort; "
        "systemctl list-units --no-legend --plain --type=service | grep -v ^user"
    ).stdout


def boot_time(host: TestHost) -> str:
    """When the first process of the host began: a container's boot id is that of the machine below it."""
    return host.run("stat -c %Y /proc/1").stdout


@pytest.fixture(scope="module")
def patch_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> PatchRoom:
    """One PC for each trouble, and the trouble made."""
    pcs = room(len(PCS), name="patch", names=lambda seat: f"a301-{seat:02d}")
    built = PatchRoom(LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s")))
    built["security"].run("echo '# edited here' >> /etc/lab-demo-editor.conf; apt-mark auto lab-demo-editor")
    built["full"].offer("lab-demo-suite")
    built["interrupted"].interrupt_dpkg()
    built["full-disk"].fill_disk(100 * 1024**2)
    built["big-update"].offer("lab-demo-big")
    built["student"].break_("user-logged-in")
    built["broken"].offer("lab-demo-broken")
    built["no-mirror"].run("echo 'deb http://control:9/debian bookworm main' > /etc/apt/sources.list.d/down.list")
    for name in ("no-reboot", "reboot", "late", "latecomer"):
        built[name].offer("lab-demo-kernel")
    _log_in_during_update(built["latecomer"])
    for name in ("busy", "stuck"):
        built[name].break_("apt-busy")
    built["service"].offer("lab-demo-service")
    return built


def _log_in_during_update(host: TestHost) -> None:
    """Somebody sits down at the PC while dpkg works."""
    (host.root / "usr/local/sbin/sit-down").write_text(f"#!/bin/sh\n{FAULTS['user-logged-in'].cause}", encoding="utf-8")
    (host.root / "usr/local/sbin/sit-down").chmod(0o755)
    hook = host.root / "etc/apt/apt.conf.d/zz-sit-down"
    hook.write_text('DPkg::Post-Invoke { "/usr/local/sbin/sit-down"; };\n', encoding="ascii")


@pytest.fixture(scope="module")
def rehearsed(patch_room: PatchRoom) -> tuple[Mapping[str, str], dict[str, Result]]:
    """What the PCs were like before a rehearsal on all of them, and what that said."""
    before = {name: everything(host) for name, host in patch_room.pcs.items() if name != "windows"}
    return before, patch_room.patch(check=True)


@pytest.fixture(scope="module")
def before(patch_room: PatchRoom, rehearsed: object) -> Mapping[str, Mapping[str, str]]:
    """The packages of each PC before it is patched."""
    return {name: packages(host) for name, host in patch_room.pcs.items()}


@pytest.fixture(scope="module")
def patched(patch_room: PatchRoom, before: object) -> dict[str, Result]:
    """All PCs patched in one run. Some seconds into it, apt is free again on the PC that was only busy."""
    started = boot_time(patch_room["reboot"])
    later = threading.Timer(30, lambda: patch_room["busy"].mend(FAULTS["apt-busy"]))
    later.start()
    results = patch_room.patch()
    later.join()
    wait_until(lambda: boot_time(patch_room["reboot"]) != started, 5)
    return results


def test_a_rehearsal_changes_nothing(
    patch_room: PatchRoom, rehearsed: tuple[Mapping[str, str], dict[str, Result]]
) -> None:
    was, _ = rehearsed
    for name, text in was.items():
        assert everything(patch_room[name]).splitlines() == text.splitlines(), name


def test_a_rehearsal_says_what_would_be(rehearsed: tuple[Mapping[str, str], dict[str, Result]]) -> None:
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
    assert "lock" in patched["stuck"].reason


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


@pytest.mark.parametrize(
    ("release", "says"),
    [
        ("sed -i '/^Date/a Valid-Until: Fri, 02 Jan 2026 00:00:00 UTC' {}/dists/*-security/Release", "expired"),
        ("sed -i '/^Trusted/d' /etc/apt/sources.list.d/lab-demo.sources", "not signed"),
    ],
)
def test_lists_that_prove_nothing_are_a_failure(
    patch_room: PatchRoom, patched: dict[str, Result], release: str, says: str
) -> None:
    host = patch_room["service"]
    host.run("cp -a /srv/lab-packages /srv/kept; cp /etc/apt/sources.list.d/lab-demo.sources /srv/kept.sources")
    try:
        host.run(release.format("/srv/lab-packages"))
        result = patch_room.patch("service")["service"]
        assert result.outcome == "failed"
        assert says in result.reason
    finally:
        host.run(
            "rm -rf /srv/lab-packages; mv /srv/kept /srv/lab-packages; "
            "mv /srv/kept.sources /etc/apt/sources.list.d/lab-demo.sources; apt-get update"
        )


def test_a_pc_without_the_sources_of_its_updates_is_not_up_to_date(
    patch_room: PatchRoom, patched: dict[str, Result]
) -> None:
    host = patch_room["service"]
    host.run("sed -i 's/^Suites:.*/Suites: bookworm vendor/' /etc/apt/sources.list.d/lab-demo.sources")
    result = patch_room.patch("service")["service"]
    assert result.outcome == "failed"
    assert result.reason.startswith("no source of updates in scope is set up")


def test_somebody_over_ssh_counts_and_ansible_does_not(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    host = patch_room["security"]
    assert '"count": 0' in _sessions(patch_room)
    options = ["-tt", "-F", str(patch_room.lab.pcs.folder / "ssh_config"), "-o", "BatchMode=yes"]
    with subprocess.Popen(["ssh", *options, host.name, "sleep 3600"], stdin=subprocess.DEVNULL) as login:
        wait_until(lambda: "lab-admin" in host.run("who").stdout)
        assert '"count": 1' in _sessions(patch_room)
        login.terminate()


def _sessions(patch_room: PatchRoom) -> str:
    play = [{"hosts": "all", "become": True, "gather_facts": False, "tasks": [{"lab_sessions": None}]}]
    path = patch_room.lab.school.folder / "sessions.yml"
    path.write_text(yaml.safe_dump(play), encoding="utf-8")
    return patch_room.playbook(str(path), ("security",), "-v")


def test_packages_come_through_the_cache(patch_room: PatchRoom, patched: dict[str, Result]) -> None:
    """The mirror's name is known to nobody but the cache, which has its files. Without the setting, no cache."""
    host = patch_room["full"]
    host.run(
        """
mkdir -p /srv/cache/http: /srv/sources
ln -s /srv/lab-packages /srv/cache/http:/mirror.example
systemd-run --quiet --unit=cache --working-directory=/srv/cache python3 -m http.server 3142
apt-get install --yes --allow-downgrades lab-demo-editor=1.0
mv /etc/apt/sources.list.d/* /srv/sources
for suite in bookworm bookworm-security; do
  echo "deb [trusted=yes] http://mirror.example $suite main" >> /etc/apt/sources.list.d/mirror.list
done
"""
    )
    patch_room.set("full", {"patch_cache_url": "http://127.0.0.1:3142"})
    assert patch_room.patch("full", check=True)["full"].reason == "1 update would be installed"
    result = patch_room.patch("full")["full"]
    assert result.outcome == "changed", result.reason
    assert version(host, "lab-demo-editor") == "1.1"
    patch_room.set("full", {})
    assert "mirror.example" in patch_room.patch("full")["full"].reason
    assert not (host.root / "etc/apt/apt.conf.d/99lab-cache").exists()
