"""Three PCs for backups: a repository server in the school, one off site, and the PC that is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from lab_tool.log.query import Query, find
from tests.integration.conftest import LabRoom
from tests.integration.patch_room import Result
from tests.testbed.room import TestHost

ROLES = ("school", "off_site", "pc")


class BackupRoom:
    """The PCs by what they are, and the settings of each."""

    def __init__(self, lab: LabRoom) -> None:
        self.lab = lab
        self.pcs: dict[str, TestHost] = dict(zip(ROLES, lab.hosts, strict=True))
        server: dict[str, Any] = {"backup_server_clients": [self["pc"].name], "backup_server_custodian": "li_na"}
        repositories = [
            {"name": name, "server": self[name].name, "off_site": name == "off_site"} for name in ("school", "off_site")
        ]
        self.settings: dict[str, dict[str, Any]] = {
            "school": {**server},
            "off_site": {**server, "backup_server_off_site": True, "backup_server_custodian": "wang_fang"},
            "pc": {"backup_repositories": repositories, "backup_paths": ["/data"], "backup_check_parts": 1},
        }

    def __getitem__(self, name: str) -> TestHost:
        return self.pcs[name]

    def play(self, verb: str, *names: str, check: bool = False, **more: object) -> dict[str, Result]:
        """Run a verb's playbook on these PCs, with more settings of theirs; what the log says of each afterwards."""
        said = self.said(verb, *names, check=check, **more)
        assert "PLAY RECAP" in said, said
        return self.results(self.lab.last_run())

    def said(self, verb: str, *names: str, check: bool = False, **more: object) -> str:
        """The same; what Ansible said."""
        hosts = {self[name].name: {**self.settings[name], **(more if name in names else {})} for name in ROLES}
        beside = self.lab.school.folder / "beside.yml"
        beside.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        limit = ",".join(self[name].name for name in names)
        options = ("--check", "--diff") if check else ()
        done = self.lab.school.playbook(
            "-i", str(beside), f"playbooks/{verb}.yml", "--limit", limit, *options,
            ANSIBLE_INVENTORY_ENABLED="lab_rooms,yaml",
        )  # fmt: skip
        return done.stdout + done.stderr

    def results(self, run: str) -> dict[str, Result]:
        """What the log says of each PC of a run."""
        log = self.lab.school.state / "log"
        finished = find(log, Query(run=run, kinds=("run.finished",)))[0].body["outcomes"]
        values: dict[str, Mapping[str, Any]] = {
            entry.subject.hosts[0]: entry.body["evidence"]["values"]
            for entry in find(log, Query(run=run, kinds=("evidence.read",)))
        }
        names = {host.name: name for name, host in self.pcs.items()}
        return {
            names[host]: Result(outcome["outcome"], outcome["reason"], tuple(outcome["changed"]), values.get(host, {}))
            for host, outcome in finished.items()
        }

    def backup(self, check: bool = False, **more: object) -> Result:
        """Save the PC."""
        return self.play("backup", "pc", check=check, **more)["pc"]

    def repository(self, server: str) -> str:
        """Where the PC's repository lies on a server."""
        return f"/srv/lab-backup/{self['pc'].name}"

    def restic(self, server: str, arguments: str, check: bool = True) -> str:
        """Run restic on a server, with the server's own key."""
        name = self["pc"].name
        key = f"/etc/lab-backup-server/keys/{name}"
        done = self[server].run(
            f"runuser -u lab-backup -- restic --no-cache -r {self.repository(server)} {arguments} < {key} 2>&1", check
        )
        return done.stdout
