"""Ansible module `lab_backup_check`: read a part of each repository, and see whether it is sound."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.explain import damage
from ansible.module_utils.lab_backup.places import PLACES_SPEC, keep_checks, next_part, read_checks, repository_of
from ansible.module_utils.lab_backup.snapshots import utc

DOCUMENTATION = """
module: lab_backup_check
short_description: Read a part of each repository, and see whether it is sound
description:
  - Runs C(restic check --read-data-subset=n/t), which reads data itself and not only what is said of it. Which part is
    next is kept on the PC, so that t runs read everything. A part that was bad is read again until it is good.
  - Changes nothing in a repository, and never fails; M(lab_backup_evidence) judges what was found.
author: lab-tool
attributes:
  check_mode:
    description: Reads nothing, and tells which part would be next.
    support: full
options:
  places:
    description: The PC's repositories.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name on the PC.
        type: str
        required: true
      server:
        description: The inventory's name of its server.
        type: str
        required: true
      off_site:
        description: Whether it is outside the school.
        type: bool
        default: false
      repository:
        description: Its id, as the server told it.
        type: str
        default: ""
  parts:
    description: In how many runs everything is read.
    type: int
    default: 28
"""

EXAMPLES = """
- name: Read a part of each repository
  lab_backup_check:
    places: "{{ __backup_places }}"
    parts: 28
"""

RETURN = """
checks:
  description: By repository, part, parts, at (UTC) and damage (empty for none).
  returned: success
  type: dict
  sample: {school: {part: 3, parts: 28, at: "2026-11-24T10:20:30Z", damage: ""}}
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"places": PLACES_SPEC, "parts": {"type": "int", "default": 28}}, supports_check_mode=True
    )
    parts = module.params["parts"]
    checks = read_checks()
    for place in module.params["places"]:
        name = place["name"]
        part = next_part(checks.get(name, {}), parts)
        if not module.check_mode:
            checks[name] = {"part": part, "parts": parts, **_check(module, name, part, parts)}
    if not module.check_mode:
        keep_checks(checks)
    # What is read is no change of the PC.
    module.exit_json(changed=False, checks=checks)


def _check(module: Any, name: str, part: int, parts: int) -> dict[str, str]:
    code, out, err = repository_of(module, name).run("check", f"--read-data-subset={part}/{parts}")
    return {"at": utc(int(time.time())), "damage": damage(f"{err}\n{out}") if code else ""}


if __name__ == "__main__":
    main()
