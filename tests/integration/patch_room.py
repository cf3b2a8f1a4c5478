"""PCs for the role patch: one for each trouble, the role run on them, and what the log says of each afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lab_tool.log.query import Query, find
from tests.integration.conftest import LabRoom
from tests.testbed.faults import FAULTS
from tests.testbed.room import TestHost

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


@dataclass(frozen=True, slots=True)
class Result:
    """What the log says of one PC after a run."""

    outcome: str
    reason: str
    changed: tuple[str, ...]
    values: Mapping[str, Any]


class PatchRoom:
    """PCs by names of their own, with the settings of each."""

    def __init__(self, lab: LabRoom, pcs: Mapping[str, Mapping[str, object]]) -> None:
        self.lab = lab
        self.pcs: dict[str, TestHost] = dict(zip(pcs, lab.hosts, strict=True))
        self._settings = {self[name].name: dict(settings) for name, settings in pcs.items()}

    def __getitem__(self, name: str) -> TestHost:
        return self.pcs[name]

    def set(self, name: str, settings: Mapping[str, object]) -> None:
        """Give a PC other settings."""
        self._settings[self[name].name] = dict(settings)

    def patch(self, *names: str, check: bool = False) -> dict[str, Result]:
        """Run the playbook on these PCs (none: all); what the log says of each afterwards."""
        options = ("--check", "--diff") if check else ()
        said = self.playbook("playbooks/patch.yml", names or tuple(self.pcs), *options)
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


def make_trouble(built: PatchRoom) -> None:
    """Break each PC in its way."""
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


def _log_in_during_update(host: TestHost) -> None:
    """Somebody sits down at the PC while dpkg works."""
    (host.root / "usr/local/sbin/sit-down").write_text(f"#!/bin/sh\n{FAULTS['user-logged-in'].cause}", encoding="utf-8")
    (host.root / "usr/local/sbin/sit-down").chmod(0o755)
    hook = host.root / "etc/apt/apt.conf.d/zz-sit-down"
    hook.write_text('DPkg::Post-Invoke { "/usr/local/sbin/sit-down"; };\n', encoding="ascii")
