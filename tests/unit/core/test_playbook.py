"""How Ansible is started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lab_tool.core.playbook import environment
from lab_tool.settings import PROJECT, Settings


def test_a_pc_that_falls_silent_is_noticed_also_in_a_run_by_hand(tmp_path: Path) -> None:
    """What `lab run` sets takes the place of `ssh_args`; a connection that was cut must not hang for minutes."""
    settings = Settings(project=PROJECT, inventory=PROJECT / "inventory", state=tmp_path)
    by_hand = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    for given in (by_hand, {**by_hand, **environment(settings, "r-1", {})}):
        program = str(Path(sys.executable).with_name("ansible-config"))
        dump = [program, "dump", "--type", "connection", "--format", "json", "--only-changed"]
        told = subprocess.run(dump, env=given, capture_output=True, text=True, check=True).stdout
        ssh = next(part["ssh"] for part in json.loads(told) if "ssh" in part)
        values = {option["name"]: str(option["value"]) for option in ssh}
        common = next(value for name, value in values.items() if name.endswith("ssh_common_args"))
        assert "-o ServerAliveInterval=5 -o ServerAliveCountMax=6" in common
        assert "-F none" in next(value for name, value in values.items() if name.endswith("ssh_args"))
