"""Ansible module `lab_media_exception_evidence`: read back until when a PC admits removable media."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_media_exception import judge

DOCUMENTATION = """
module: lab_media_exception_evidence
short_description: Read back until when a PC admits removable media
description:
  - Asks C(lab-media), which the control C(media_storage) installs and which decides when something is plugged in.
  - Fails, evidence and all, where it says something else than was wanted.
author: lab-tool
attributes:
  check_mode:
    description: Says what would begin or end.
    support: full
options:
  until:
    description: When the exception was to end (UTC, such as C(2026-11-24T22:30:00Z)); empty for none.
    type: str
    default: ""
  devices:
    description: The serial numbers it was to be for; empty for any.
    type: list
    elements: str
    default: []
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back until when removable media is admitted
  lab_media_exception_evidence:
    until: "2026-11-24T22:30:00Z"
"""

RETURN = """
evidence:
  description: >
    C(verb) (C(media_exception)), C(outcome), C(reason), and C(values) with C(admits) (without an exception, C(never) or
    C(scanned)), C(until) (empty for no exception), C(devices) and C(mounted) (file systems that are in use).
  returned: always
  type: dict
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "until": {"type": "str", "default": ""},
            "devices": {"type": "list", "elements": "str", "default": []},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    status: dict[str, Any] = {}
    if not module.params["failure"]:
        code, out, _ = module.run_command(["/usr/local/libexec/lab-media", "status"])
        try:
            status = json.loads(out) if code == 0 else {}
        except ValueError:
            status = {}
    outcome, reason, values = judge(module.params, status, check=bool(module.check_mode))
    end(module, "media_exception", outcome, reason, values)


if __name__ == "__main__":
    main()
