"""Ansible module `lab_account_password`: set the password of a local account, and say which one it has."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_password.shadow import fingerprint

DOCUMENTATION = """
module: lab_account_password
short_description: Set the password of a local account, and read back which one it has
description:
  - Used by the action plugin C(lab_admin_password). Takes a hash, never a password; hands it to C(chpasswd) on its
    standard input, and reads C(/etc/shadow) afterwards.
author: lab-tool
attributes:
  check_mode:
    description: Reads only.
    support: full
options:
  account:
    description: The local account.
    type: str
    required: true
  hash:
    description: The password field that C(/etc/shadow) is to hold; without it nothing is set.
    type: str
"""

EXAMPLES = """
- name: See which password the account has
  lab_account_password:
    account: localadmin
"""

RETURN = """
fingerprint:
  description: SHA-256 of the password field as it is now; empty where there is no such account.
  returned: always
  type: str
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"account": {"type": "str", "required": True}, "hash": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )
    account, hashed = module.params["account"], module.params["hash"]
    before = fingerprint(account)
    if hashed is None or module.check_mode:
        module.exit_json(changed=False, fingerprint=before)
    if not before:
        module.fail_json(msg=f"there is no account {account}", fingerprint="")
    code, _, _ = module.run_command(["chpasswd", "--encrypted"], data=f"{account}:{hashed}")
    after = fingerprint(account)
    if code != 0:
        # What chpasswd says may quote its input.
        module.fail_json(msg=f"chpasswd could not set the password of {account} (exit code {code})", fingerprint=after)
    module.exit_json(changed=after != before, fingerprint=after)


if __name__ == "__main__":
    main()
