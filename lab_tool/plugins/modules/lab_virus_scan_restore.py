"""Ansible module `lab_virus_scan_restore`: give a file back that is in quarantine."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_virus_scan import quarantine

DOCUMENTATION = """
module: lab_virus_scan_restore
short_description: Give a file back that is in quarantine
description:
  - Puts it where it was, with its owner, mode and time, and takes it out of quarantine.
  - Its content is proved first. Never writes over a file, nor through a symbolic link.
author: lab-tool
attributes:
  check_mode:
    description: Says whether it could be given back.
    support: full
options:
  quarantine:
    description: Its id.
    type: str
    required: true
"""

EXAMPLES = """
- name: Give a file back
  lab_virus_scan_restore:
    quarantine: q-1f2e3d4c5b6a
  register: __virus_scan_restored
"""

RETURN = """
restored:
  description: What is known of it, for M(lab_virus_scan_restore_evidence).
  returned: success
  type: dict
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"quarantine": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        record = quarantine.restore(module.params["quarantine"], dry=module.check_mode)
    except quarantine.QuarantineError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"it can't be given back: {error.strerror}")
    module.exit_json(changed=True, restored=record.as_restored())


if __name__ == "__main__":
    main()
