"""Ansible module `lab_virus_scan_files`: a scan at low priority, that goes on also where the connection is lost."""

from __future__ import annotations

import calendar
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_virus_scan import schedule
from ansible.module_utils.lab_virus_scan.settings import SettingsError

DOCUMENTATION = """
module: lab_virus_scan_files
short_description: Scan a PC for viruses
description:
  - Runs C(lab-scan) as a unit of systemd with idle priority, and waits for it. Where the connection is lost, or the
    control node, it goes on to its end; the next scan goes on where one was cut off.
  - Symbolic links are never followed, pseudo file systems and network mounts never entered.
  - What is found is put into quarantine at once.
author: lab-tool
attributes:
  check_mode:
    description: Scans nothing.
    support: full
options:
  scope:
    description: The whole disk, the people's home folders, or O(paths).
    type: str
    choices: [disk, home, paths]
    default: disk
  paths:
    description: Folders or files, for O(scope=paths).
    type: list
    elements: str
    default: []
  time_limit:
    description: Minutes.
    type: int
    default: 120
  until:
    description: A moment in UTC at which the scan ends at the latest; empty for none.
    type: str
    default: ""
  resume_days:
    description: A scan that was cut off longer ago is begun anew.
    type: int
    default: 7
  now:
    description: The time by a clock that is believed, in seconds; the PC's own may be wrong.
    type: int
    required: true
"""

EXAMPLES = """
- name: Scan the whole disk
  lab_virus_scan_files:
    now: "{{ now().timestamp() | int }}"
  register: __virus_scan_scanned
"""

RETURN = """
scan:
  description: What came of it, for M(lab_virus_scan_evidence).
  returned: success
  type: dict
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "choices": ["disk", "home", "paths"], "default": "disk"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "time_limit": {"type": "int", "default": 120},
            "until": {"type": "str", "default": ""},
            "resume_days": {"type": "int", "default": 7},
            "now": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params

    def run(argv: list[str]) -> tuple[int, str]:
        code, out, err = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)
        return int(code), f"{out}{err}"

    if module.check_mode:
        module.exit_json(changed=False, scan={})
    limit = given["time_limit"] * 60
    if given["until"]:
        end = calendar.timegm(time.strptime(given["until"], "%Y-%m-%dT%H:%M:%SZ"))
        limit = max(0, min(limit, end - given["now"]))
    order = schedule.Order(given["scope"], given["paths"], limit, given["resume_days"], given["now"])
    try:
        scan: dict[str, Any] = schedule.scan(run, order)
    except (schedule.ScheduleError, SettingsError, OSError) as error:
        module.fail_json(msg=f"the scan could not be run: {error}")
    module.exit_json(changed=any(find["quarantine"] for find in scan["found"]), scan=scan)


if __name__ == "__main__":
    main()
