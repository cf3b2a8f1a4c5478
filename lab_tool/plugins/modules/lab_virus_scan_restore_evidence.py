"""Ansible module `lab_virus_scan_restore_evidence`: read back a file that was given back."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_virus_scan import quarantine

DOCUMENTATION = """
module: lab_virus_scan_restore_evidence
short_description: Read back a file that was given back from quarantine
description:
  - The outcome is C(ok) only if the file lies at its place, with the content, owner and mode that it had, and is in
    quarantine no more.
author: lab-tool
attributes:
  check_mode:
    description: Says what would be.
    support: full
options:
  quarantine:
    description: Its id.
    type: str
    required: true
  restored:
    description: What is known of it, from M(lab_virus_scan_restore).
    type: dict
    default: {}
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back
  lab_virus_scan_restore_evidence:
    quarantine: q-1f2e3d4c5b6a
    restored: "{{ __virus_scan_restored.restored }}"
"""

RETURN = """
evidence:
  description: >
    verb (C(virus_scan_restore)), outcome, reason, and as values: quarantine (the id), path, sha256, signature.
  returned: always
  type: dict
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "quarantine": {"type": "str", "required": True},
            "restored": {"type": "dict", "default": {}},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    outcome, reason = _judge(given, module.check_mode)
    told = {key: given["restored"].get(key, "") for key in ("path", "sha256", "signature")}
    values = {"quarantine": given["quarantine"], **told}
    end(module, "virus_scan_restore", outcome, reason, values)


def _judge(given: dict[str, Any], check: bool) -> tuple[str, str]:
    restored = given["restored"]
    if given["failure"] or not restored:
        return "failed", given["failure"] or "nothing was given back"
    if check:
        return "ok", f"{restored['path']} would be given back"
    wrong = quarantine.misplaced(restored)
    return ("failed", wrong) if wrong else ("ok", f"{restored['path']} is given back")


if __name__ == "__main__":
    main()
