"""Ansible module `lab_patch_evidence`: read back what became of a PC that was to be patched."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_patch.module import programs
from ansible.module_utils.lab_patch.policy import Policy
from ansible.module_utils.lab_patch.programs import ENVIRONMENT
from ansible.module_utils.lab_patch.readback import Act, read
from ansible.module_utils.lab_patch.verdict import Circumstances, judge

DOCUMENTATION = """
module: lab_patch_evidence
short_description: Read back how far a PC is patched
description:
  - Reads the PC's own records (dpkg, apt's lists and resolver, needrestart, the kernel) after the act, and judges the
    outcome by them alone. No exit code of an earlier task counts.
  - The outcome is C(ok) only if nothing in scope is pending but what is on hold, the package lists are complete and not
    older than a day, dpkg has nothing unfinished, and what is installed is also what runs.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Reports what would be; updates that would be installed don't count against the outcome.
    support: full
requirements: [python3-apt, needrestart]
options:
  policy:
    description: What is in scope, as for M(lab_patch_packages). Without it nothing is read, as for a failure before it.
    type: dict
  lists:
    description: Folder of package lists, from M(lab_patch_lists); empty for the system's own.
    type: str
    default: ""
  packages:
    description: What was to be updated, from M(lab_patch_packages).
    type: dict
    default: {}
  added:
    description: What the updates were to bring along, from M(lab_patch_packages).
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
  reboot_refused:
    description: Why no reboot was allowed, if it was not.
    type: str
    default: ""
  rebooted_for:
    description: Why the PC was rebooted, if it was.
    type: list
    elements: str
    default: []
"""

EXAMPLES = """
- name: Read back what became of the PC
  lab_patch_evidence:
    policy: "{{ __patch_policy }}"
    packages: "{{ __patch_packages.packages }}"
"""

RETURN = """
evidence:
  description: What was read, for the log. No secrets, no file contents, no names of people, no floats.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(patch).
      type: str
      returned: always
    outcome:
      description: C(ok), C(deferred) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), or what would be done in check mode.
      type: str
      returned: always
    values:
      description: >
        scope; updated (by package: version before, wanted, after); added (by package: version wanted, after); pending,
        kept_back and held (by package: version installed and available); broken (packages without what they need);
        outside_scope (a count); unfinished (by package: dpkg's state); lists_updated (UTC, empty for never); sources;
        reboot_required; reboot_reasons; rebooted_for; kernel_running; kernel_installed; services (that run from
        replaced files).
      type: dict
      returned: always
"""


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "policy": {"type": "dict"},
            "lists": text,
            "packages": {"type": "dict", "default": {}},
            "added": {"type": "dict", "default": {}},
            "failure": text,
            "deferred": text,
            "reboot_refused": text,
            "rebooted_for": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    os.environ.update(ENVIRONMENT)
    outcome, reason, values = _read_back(module)
    end(module, "patch", outcome, reason, values)


def _read_back(module: Any) -> tuple[str, str, dict[str, Any]]:
    """Outcome, reason, values. What can't be read is a failure, but never hides an earlier one."""
    given = module.params
    circumstances = Circumstances(
        module.check_mode, given["failure"], given["deferred"], given["reboot_refused"], bool(given["rebooted_for"])
    )
    if given["policy"] is None:
        return "failed", given["failure"] or "nothing was read back, since no policy was given", {}
    try:
        policy = Policy.read(given["policy"])
        act = Act(given["packages"], given["added"])
        reading, values = read(policy, given["lists"], act, programs(module), int(time.time()))
    except ImportError:
        return "failed", given["failure"] or "python3-apt is not installed", {}
    except (ValueError, SystemError, OSError) as error:
        return "failed", given["failure"] or f"the PC's records can't be read: {error}", {}
    outcome, reason = judge(reading, circumstances)
    return outcome, reason, {**values, "rebooted_for": given["rebooted_for"]}


if __name__ == "__main__":
    main()
