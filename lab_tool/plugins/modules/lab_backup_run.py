"""Ansible module `lab_backup_run`: save a PC into its repositories."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.explain import explain, plain

DOCUMENTATION = """
module: lab_backup_run
short_description: Save a PC into its repositories
description:
  - Starts C(lab-backup), which role C(backup) has put on the PC, and hands on what it says of each repository.
  - Refuses where the PC's clock is wrong, since a snapshot bears the PC's time.
  - Fails only where no backup was begun. What failed in one repository is told, and M(lab_backup_evidence) judges it.
author: lab-tool
attributes:
  check_mode:
    description: Looks at the clock and starts nothing.
    support: full
options:
  tag:
    description: What marks the snapshots of this run.
    type: str
    required: true
  now:
    description: The control node's time, in seconds.
    type: int
    required: true
  clock_limit:
    description: By how many seconds the PC's clock may differ.
    type: int
    default: 300
"""

EXAMPLES = """
- name: Save the PC
  lab_backup_run:
    tag: run-20261124-102030
    now: "{{ now(utc=true).timestamp() | int }}"
"""

RETURN = """
act:
  description: >
    Troubles with dumps, hooks and paths; and by repository snapshot, files, bytes, added, unreadable, vanished and
    trouble.
  returned: success
  type: dict
  sample: {tag: run-1, troubles: [], places: {}}
"""

PROGRAM = "/usr/local/sbin/lab-backup"
KEPT = ("snapshot", "files", "bytes", "added", "unreadable", "vanished")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "tag": {"type": "str", "required": True},
            "now": {"type": "int", "required": True},
            "clock_limit": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    ahead = int(time.time()) - module.params["now"]
    if abs(ahead) > module.params["clock_limit"]:
        side = "ahead of" if ahead > 0 else "behind"
        limit = module.params["clock_limit"]
        module.fail_json(msg=f"the PC's clock is {abs(ahead)} s {side} the control node's (limit {limit} s)")
    if module.check_mode:
        module.exit_json(changed=False, act={"tag": module.params["tag"], "troubles": [], "places": {}})
    code, out, err = module.run_command([PROGRAM, "--tag", module.params["tag"]])
    try:
        result = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError):
        module.fail_json(msg=f"lab-backup was cut off (exit code {code}): {plain(err[-300:]) or 'it said nothing'}")
    act = {"tag": result["tag"], "troubles": [plain(text) for text in result["troubles"]]}
    act["places"] = {name: _told(place) for name, place in result["places"].items()}
    # A backup is no change of the PC.
    module.exit_json(changed=False, act=act)


def _told(place: dict[str, Any]) -> dict[str, Any]:
    return {**{key: place[key] for key in KEPT}, "trouble": explain(place["said"]) if place["code"] else ""}


if __name__ == "__main__":
    main()
