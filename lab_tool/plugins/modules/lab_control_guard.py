"""Ansible module `lab_control_guard`: tell the PC that the control node could log in again."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_control.guard import disarm, rolled_back
from ansible.module_utils.lab_control.journal import alone
from ansible.module_utils.lab_control.kind import ProgramError
from ansible.module_utils.lab_control.module import runner

DOCUMENTATION = """
module: lab_control_guard
short_description: Keep the controls that could have locked the administrator out
description:
  - Stops the timer that M(lab_control) armed. Has to run over a connection made after the controls were applied.
  - Fails where the PC has undone them already.
author: lab-tool
attributes:
  check_mode:
    description: Nothing is armed in check mode, so nothing is done.
    support: full
options: {}
"""

EXAMPLES = """
# After a new connection was made, such as by ansible.builtin.wait_for_connection.
- name: Keep what was applied
  lab_control_guard:
"""

RETURN = """
rolled_back:
  description: The controls that the PC undid by itself.
  returned: always
  type: list
  elements: str
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    undone: list[str] = []
    try:
        with alone():
            if not module.check_mode:
                disarm(runner(module))
            undone = rolled_back()
    except (OSError, ProgramError) as error:
        module.fail_json(msg=f"the guard can't be disarmed: {error}", rolled_back=undone)
    if undone:
        module.fail_json(
            msg=f"undone by the PC, since nobody logged in in time: {', '.join(undone)}", rolled_back=undone
        )
    module.exit_json(changed=False, rolled_back=[])


if __name__ == "__main__":
    main()
