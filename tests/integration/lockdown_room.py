"""PCs for the role lockdown: it is run on one of them, undone, and what the PC is like is compared."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from lab_tool.settings import PROJECT
from tests.integration.conftest import LabRoom
from tests.integration.patch_room import Result
from tests.testbed.room import TestHost

# Everything a control may touch: names, types, permissions and contents; what runs, what is installed, who may what.
_LOOK = r"""
cd /
find etc boot root home srv opt usr/local var/lib var/spool -xdev \
  -not -path 'var/lib/dpkg/*' -not -path 'var/lib/apt/*' -not -path 'var/lib/systemd/*' -not -path 'root/.ansible*' \
  -not -path 'home/lab-admin/.ansible*' \
  -not -path etc/ld.so.cache -printf '%p %y %m %U:%G %l\n' | sort
find usr -xdev -not -path 'usr/local/*' -not -name __pycache__ -not -name '*.pyc' -printf '%p %y %m %U:%G %l\n' | sort
find etc boot usr/local home/student -xdev -type f -not -path etc/ld.so.cache -exec sha256sum {} + | sort -k 2
systemctl list-unit-files --no-legend --no-pager | awk '{print "unit", $1, $2}' | sort
systemctl list-units --type=service,timer,socket --state=active --no-legend --plain |
  awk '{print "active", $1}' | sort |
  grep -vE 'user@|user-runtime|systemd-(tmpfiles|hostnamed|localed|timedated)|apt-|motd'
dpkg-query -W -f 'package ${Package} ${db:Status-Status}\n'
getent passwd; getent group; passwd --status --all; hostname
cat /proc/mounts | grep -vE '/run/user|/run/credentials' | sort
nft list ruleset
"""


def play(lab: LabRoom, playbook: str, host: TestHost, variables: Mapping[str, object] | None = None) -> Result:
    """Run `lockdown` or `lockdown_undo` on a PC; what the log says of it afterwards."""
    given = ("--extra-vars", json.dumps(variables or {}))
    done = lab.school.playbook(f"playbooks/{playbook}.yml", "--limit", host.name, *given)
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    run = lab.last_run()
    (finished,) = lab.entries("run.finished", run=run)
    outcome = finished.body["outcomes"][host.name]
    evidence = lab.entries("evidence.read", run=run)
    values = evidence[-1].body["evidence"]["values"] if evidence else {}
    return Result(outcome["outcome"], outcome["reason"], tuple(outcome["changed"]), values)


def only(*areas: str) -> dict[str, dict[str, bool]]:
    """Variables with which a PC gets the controls of these areas, whatever its profile says, and no others."""
    controls = [
        control
        for path in sorted((PROJECT / "roles/lockdown/vars/controls").glob("*.yml"))
        for control in yaml.safe_load(path.read_text(encoding="utf-8")).get(f"__lockdown_{path.stem}", {})
    ]
    return {"lockdown_controls": {control: control.startswith(areas) for control in controls}}


def state_of(host: TestHost) -> list[str]:
    """What the PC is like, line by line."""
    return host.run(_LOOK).stdout.splitlines()
