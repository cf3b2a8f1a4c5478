"""Ansible module `lab_virus_scan_evidence`: read back what became of a PC that was to be scanned."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_virus_scan import readback
from ansible.module_utils.lab_virus_scan.verdict import Circumstances, judge

DOCUMENTATION = """
module: lab_virus_scan_evidence
short_description: Read back what a scan of a PC came to
description:
  - Reads the signatures and the quarantine again after the scan; each find has to lie there, closed to everybody, with
    the content that was found.
  - The outcome is C(ok) only if everything in scope was scanned, whole, with signatures that are not too old, and every
    find is in quarantine.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Reports what would be.
    support: full
options:
  scope:
    description: What was to be scanned.
    type: str
    default: ""
  engine:
    description: C(daemon) or C(on_demand); empty where it did not come to that.
    type: str
    default: ""
  fetch_trouble:
    description: Why signatures could not be fetched, from M(lab_virus_scan_signatures).
    type: str
    default: ""
  scan:
    description: What came of the scan, from M(lab_virus_scan_files).
    type: dict
    default: {}
  tidied:
    description: What was freed, from M(lab_virus_scan_tidy).
    type: dict
    default: {}
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
  deferred:
    description: Why the PC was left alone, if it was; the outcome is then C(deferred).
    type: str
    default: ""
  now:
    description: The time by a clock that is believed, in seconds. Without it nothing is read.
    type: int
    default: 0
"""

EXAMPLES = """
- name: Read back what became of the PC
  lab_virus_scan_evidence:
    scan: "{{ __virus_scan_scanned.scan }}"
    now: "{{ now().timestamp() | int }}"
"""

RETURN = """
evidence:
  description: What was read, for the log. No secrets, no floats; names of files so that they break nothing.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(virus_scan).
      type: str
      returned: always
    outcome:
      description: C(ok), C(deferred) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), and what was found.
      type: str
      returned: always
    values:
      description: See the role's README, "Evidence".
      type: dict
      returned: always
"""


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    anything: dict[str, Any] = {"type": "dict", "default": {}}
    module = AnsibleModule(
        argument_spec={
            "scope": text,
            "engine": text,
            "fetch_trouble": text,
            "scan": anything,
            "tidied": anything,
            "failure": text,
            "deferred": text,
            "now": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params
    circumstances = Circumstances(module.check_mode, given["failure"], given["deferred"], given["fetch_trouble"])
    values: dict[str, Any] = {}
    stale, unsafe = "", []
    if given["now"]:
        stale, unsafe, values = readback.read(given["scan"], given["now"])
        values.update(scope=given["scope"], engine=given["engine"], tidied=given["tidied"])
    outcome, reason = judge(given["scan"], stale, unsafe, circumstances)
    end(module, "virus_scan", outcome, reason, values)


if __name__ == "__main__":
    main()
