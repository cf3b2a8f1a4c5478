"""Ansible module `lab_admin_password_evidence`: read back whether a PC has the password that is kept for it."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_password.shadow import fingerprint

DOCUMENTATION = """
module: lab_admin_password_evidence
short_description: Read back whether a PC has the password that is kept for it
description:
  - Reads C(/etc/shadow) after the act and compares it with what the control node keeps; tells no password and no hash.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Says what would be.
    support: full
options:
  account:
    description: The local account.
    type: str
    default: ""
  kept:
    description: What the action C(lab_admin_password) said of the password that is kept.
    type: dict
    default: {}
  fingerprint:
    description: What the PC's password field must hash to (SHA-256).
    type: str
    default: ""
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back which password the PC has
  lab_admin_password_evidence:
    account: "{{ admin_password_account }}"
    kept: "{{ __admin_password_done.kept }}"
    fingerprint: "{{ __admin_password_done.fingerprint }}"
"""

RETURN = """
evidence:
  description: What was read, for the log. No secrets, no hash, no names of people.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(admin_password).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), or what would be done in check mode.
      type: str
      returned: always
    values:
      description: >
        account; generation; made (UTC); age_days; period_days; readers (how many people can read it); ciphertext
        (SHA-256 of the encrypted file on the control node); due (why it was or would be replaced; empty when not);
        changed_outside (whether the PC had another password than was kept).
      type: dict
      returned: always
"""

TOLD = ("generation", "made", "age_days", "period_days", "readers", "ciphertext", "due", "changed_outside")


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "account": text,
            "kept": {"type": "dict", "default": {}},
            "fingerprint": {**text, "no_log": True},
            "failure": text,
        },
        supports_check_mode=True,
    )
    outcome, reason, values = _read_back(module)
    end(module, "admin_password", outcome, reason, values)


def _read_back(module: Any) -> tuple[str, str, dict[str, Any]]:
    account, told = module.params["account"], module.params["kept"]
    values = {"account": account, **{name: told[name] for name in TOLD if name in told}} if account else {}
    if module.params["failure"] or not told:
        return "failed", module.params["failure"] or "nothing is known of the password", values
    if module.check_mode:
        return "ok", f"would be replaced: {told['due']}" if told["due"] else "", values
    if fingerprint(account) != module.params["fingerprint"]:
        return "failed", f"{account} has another password than the one that is kept", values
    return "ok", "", values


if __name__ == "__main__":
    main()
