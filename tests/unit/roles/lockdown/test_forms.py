"""Values in group_vars that would harm a PC are refused by name before anything is done."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT

ROLE = PROJECT / "roles" / "lockdown"
# Each value, and whether it can be.
VALUES: list[tuple[str, Any, bool]] = [
    ("lockdown_administrators", "localadmin", True),
    ("lockdown_administrators", "a b", False),
    ("lockdown_blocked_hosts", "game.example.com", True),
    ("lockdown_blocked_hosts", "localhost", False),
    ("lockdown_blocked_hosts", "x\n0.0.0.0 y", False),
    ("lockdown_blocked_ports", 194, True),
    ("lockdown_blocked_ports", "6660-6669", True),
    ("lockdown_blocked_ports", "22 accept", False),
    ("lockdown_control_networks", "192.0.2.0/24", True),
    ("lockdown_control_nodes", "2001:db8::1", True),
    ("lockdown_control_nodes", "control.school.example", False),
    ("lockdown_control_nodes", "10", False),
    ("lockdown_exam_hosts", {"name": "judge", "addresses": ["192.0.2.1"], "ports": [443]}, True),
    ("lockdown_exam_hosts", {"name": "judge", "addresses": ["192.0.2.1"]}, True),
    ("lockdown_exam_hosts", {"name": "judge", "addresses": ["192.0.2.1 accept; ip daddr 0.0.0.0/0"]}, False),
    ("lockdown_exam_hosts", {"name": "judge", "addresses": ["192.0.2.1"], "ports": ["1 } accept"]}, False),
    ("lockdown_noexec_paths", "/srv/exchange", True),
    ("lockdown_noexec_paths", "/home", True),
    ("lockdown_noexec_paths", "/", False),
    ("lockdown_noexec_paths", "/usr", False),
    ("lockdown_noexec_paths", "/usr/", False),
    ("lockdown_noexec_paths", "/lib64", False),
    ("lockdown_noexec_paths", "/var", False),
    ("lockdown_noexec_paths", "/var/lib/dpkg", False),
    ("lockdown_noexec_paths", "/home/../usr", False),
    ("lockdown_noexec_paths", "/my files", False),
    ("lockdown_off_times", "Sat 13:00", True),
    ("lockdown_off_times", "22:00\nUnit=reboot.target", False),
    ("lockdown_session_accounts", "guest", True),
    ("lockdown_session_accounts", "lab-admin", False),
    ("lockdown_session_accounts", "root", False),
    ("lockdown_session_accounts", "technician", False),
    ("lockdown_ssh_accounts", "technician@192.0.2.7", True),
    ("lockdown_ssh_accounts", "*", False),
    ("lockdown_ssh_accounts", "x\nPermitRootLogin yes", False),
    ("lockdown_unwanted_packages", "gnome-chess", True),
    ("lockdown_unwanted_packages", "--purge", False),
    ("lockdown_time_zone", "Asia/Shanghai", True),
    ("lockdown_time_zone", "../../etc/shadow", False),
    ("lockdown_faillock_seconds", 0, False),
    ("lockdown_faillock_tries", 0, False),
    ("lockdown_suspend_minutes", 0, False),
]
PLAY = """
- hosts: all
  gather_facts: false
  vars_files: {files}
  tasks:
    - ansible.builtin.debug:
        msg: "told {{{{ inventory_hostname }}}} {{{{ odd | join(',') }}}}."
      vars:
        odd: "{{{{ __lockdown_odd | dict2items | selectattr('value') | map(attribute='key') }}}}"
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By the number of the value, what is odd; all in one run of Ansible, each on a host of its own."""
    folder = tmp_path_factory.mktemp("forms")
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    hosts = {}
    for number, (name, value, _) in enumerate(VALUES):
        given = [value] if isinstance(defaults[name], list) else value
        hosts[f"v{number}"] = {"lockdown_ssh_accounts": ["technician"], name: given}
    common = {**defaults, "ansible_connection": "local", "ansible_user": "lab-admin"}
    inventory = {"all": {"vars": common, "hosts": hosts}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    files = [str(ROLE / "vars" / name) for name in ("main.yml", "forms.yml", "controls/shared.yml")]
    (folder / "play.yml").write_text(PLAY.format(files=files), encoding="utf-8")
    (folder / "ansible.cfg").write_text("[defaults]\nforks = 2\n", encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "-i", "hosts.yml", "play.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r"told v([0-9]+) (\w*)\.", done.stdout)
    return {number: {odd} - {""} for number, odd in told}


@pytest.mark.parametrize("number", range(len(VALUES)), ids=[f"{name}={value!r}"[:60] for name, value, _ in VALUES])
def test_a_value_is_taken_or_refused_by_name(number: int, refused: dict[str, Any]) -> None:
    name, _, fits = VALUES[number]
    assert refused[str(number)] == (set() if fits else {name})
