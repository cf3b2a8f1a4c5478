"""Ansible module `lab_media_exception_evidence`: read back until when a PC admits removable media."""

from __future__ import annotations

import json
from calendar import timegm
from time import gmtime, strftime, strptime
from typing import Any

from ansible.module_utils.basic import AnsibleModule

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
FORM = "%Y-%m-%dT%H:%M:%SZ"


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
    evidence = {"verb": "media_exception", "outcome": outcome, "reason": reason, "values": values}
    if outcome == "failed":
        module.fail_json(msg=reason, evidence=evidence)
    module.exit_json(changed=False, evidence=evidence)


def judge(given: dict[str, Any], status: dict[str, Any], *, check: bool) -> tuple[str, str, dict[str, Any]]:
    """Outcome, reason, values from what was wanted and what the PC says."""
    if given["failure"]:
        return "failed", given["failure"], {}
    if not status:
        return "failed", "the PC does not say which removable media it admits", {}
    there = status["exception"] or {"until": 0, "devices": []}
    until = strftime(FORM, gmtime(there["until"])) if there["until"] else ""
    values = {
        "admits": status["admits"],
        "until": until,
        "devices": sorted(there["devices"]),
        "mounted": status["mounted"],
    }
    if until == given["until"] and sorted(there["devices"]) == sorted(given["devices"]):
        if until and status["time"] >= timegm(strptime(until, FORM)):
            return "failed", f"the exception ended at {until}", values
        return "ok", f"in force until {until}" if until else "", values
    wanted = f"in force until {given['until']}" if given["until"] else "ended"
    if check:
        return "ok", f"the exception would be {wanted}", values
    return "failed", f"the exception is not {wanted}", values


if __name__ == "__main__":
    main()
