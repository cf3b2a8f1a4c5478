"""Ansible module `lab_sessions`: whether somebody sits at the PC."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_patch.module import programs
from ansible.module_utils.lab_patch.sessions import present

DOCUMENTATION = """
module: lab_sessions
short_description: Say whether somebody is logged in at the PC
description:
  - Finds the sessions of people on a desktop, a text console or over SSH, from logind and from the login records.
  - Ansible's own connections and other sessions without desktop and terminal don't count; nor does a log-in screen.
  - Names nobody.
author: lab-tool
attributes:
  check_mode:
    description: Reads only.
    support: full
"""

EXAMPLES = """
- name: See whether somebody is logged in
  lab_sessions:
  register: __patch_sessions
"""

RETURN = """
count:
  description: How many people's sessions there are.
  returned: always
  type: int
  sample: 1
remote:
  description: How many of them came over the network.
  returned: always
  type: int
  sample: 0
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    sessions = present(programs(module))
    module.exit_json(changed=False, count=len(sessions), remote=sum(session.remote for session in sessions))


if __name__ == "__main__":
    main()
