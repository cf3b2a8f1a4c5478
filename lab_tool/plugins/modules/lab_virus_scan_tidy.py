"""Ansible module `lab_virus_scan_tidy`: free a PC's disk of what is old."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_virus_scan.tidy import Ages, Tidy

DOCUMENTATION = """
module: lab_virus_scan_tidy
short_description: Free a disk of what is old
description:
  - Deletes old temporary files, old logs, apt's downloads and what was thrown away long ago; tells the disk what is
    free.
  - Never follows a symbolic link, leaves what a process has open, and sockets, pipes and devices.
author: lab-tool
attributes:
  check_mode:
    description: Says how much would be freed.
    support: full
options:
  items:
    description: What of these.
    type: list
    elements: str
    choices: [temporary, journal, logs, packages, trash, trim]
    required: true
  temporary_days:
    description: How long temporary files were neither read nor changed.
    type: int
    default: 10
  log_days:
    description: How old rotated logs and the journal are.
    type: int
    default: 190
  trash_days:
    description: How long ago it was thrown away.
    type: int
    default: 30
  now:
    description: The time by a clock that is believed, in seconds.
    type: int
    required: true
"""

EXAMPLES = """
- name: Tidy the disk
  lab_virus_scan_tidy:
    items: [temporary, packages]
    now: "{{ now().timestamp() | int }}"
  register: __virus_scan_tidied
"""

RETURN = """
tidied:
  description: >
    freed (bytes), items (bytes and files of each; of trim what was trimmed, which counts for nothing), notes.
  returned: success
  type: dict
"""

ITEMS = ["temporary", "journal", "logs", "packages", "trash", "trim"]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "str", "choices": ITEMS, "required": True},
            "temporary_days": {"type": "int", "default": 10},
            "log_days": {"type": "int", "default": 190},
            "trash_days": {"type": "int", "default": 30},
            "now": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params

    def run(argv: list[str]) -> tuple[int, str]:
        code, out, err = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)
        return int(code), f"{out}{err}"

    # Of two clocks the earlier: a wrong one must not make everything old.
    now = min(given["now"], int(time.time()))
    ages = Ages(given["temporary_days"], given["log_days"], given["trash_days"])
    try:
        tidied = Tidy(run, ages, now, module.check_mode).all(given["items"])
    except OSError as error:
        module.fail_json(msg=f"the disk could not be tidied: {error.strerror}: {error.filename}")
    module.exit_json(changed=tidied["freed"] > 0, tidied=tidied)


if __name__ == "__main__":
    main()
