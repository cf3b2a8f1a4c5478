"""Playbooks run by hand on this machine itself: enough to see what is recorded, and what happens when it can't be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, find
from lab_tool.settings import PROJECT

GATE = {"name": "Recorded", "lab_recorded": None, "tags": ["always"]}


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder with an inventory of three hosts that are this machine, and a log."""

    folder: Path
    state: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of somebody who runs Ansible by hand in the project folder."""
        own = {"LAB_STATE": str(self.state), "ANSIBLE_INVENTORY_ENABLED": "yaml", **extra}
        return {**os.environ, **own}

    def argv(self, tasks: Sequence[object], *arguments: str) -> list[str]:
        """The command line that runs `tasks` behind the gate."""
        play = {"name": "Test", "hosts": "all", "gather_facts": False, "pre_tasks": [GATE], "tasks": list(tasks)}
        playbook = self.folder / "playbook.yml"
        playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
        inventory = self.folder / "inventory.yml"
        return [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(playbook), *arguments]

    def play(self, tasks: Sequence[object], *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run `tasks` to their end."""
        return subprocess.run(
            self.argv(tasks, *arguments),
            env=self.environment(**extra),
            cwd=PROJECT,
            text=True,
            capture_output=True,
            check=False,
        )

    def entries(self, *kinds: str) -> list[Entry]:
        """What was recorded."""
        return find(self.state / "log", Query(kinds=kinds))

    def touch(self, name: str, **task: object) -> dict[str, object]:
        """A task that leaves a file on each host, so that one sees whether it acted."""
        target = self.folder / f"{name}-{{{{ inventory_hostname }}}}"
        return {"name": f"Touch {name}", "ansible.builtin.command": f"touch {target}", **task}

    def touched(self, name: str) -> list[str]:
        """The hosts on which `touch(name)` acted."""
        return sorted(path.name.removeprefix(f"{name}-") for path in self.folder.glob(f"{name}-*"))


HOSTS = ["a1-01", "a1-02", "a1-03"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh bench."""
    inventory = {
        "all": {
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            "children": {"room_a1": {"hosts": {host: {} for host in HOSTS}}},
        }
    }
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    return Bench(tmp_path, tmp_path / "state")
