"""Ansible module `lab_patch_restart`: restart the services whose files were replaced, and say what that leaves."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_patch.host import NEEDRESTART, reboot_reasons, restarts
from ansible.module_utils.lab_patch.module import programs

DOCUMENTATION = """
module: lab_patch_restart
short_description: Restart the services that still run from replaced files
description:
  - Lets needrestart restart them, within its own configuration on the PC. By default that leaves alone what would end
    somebody's session or the network, such as the display manager and D-Bus.
  - What still runs from replaced files afterwards, a kernel that is installed and not running, and a package's wish are
    reasons to reboot.
author: lab-tool
attributes:
  check_mode:
    description: Reports what would be restarted because of files replaced already.
    support: full
requirements: [needrestart]
options:
  restart:
    description: Whether to restart anything.
    type: bool
    default: true
"""

EXAMPLES = """
- name: Restart the services that still run from replaced files
  lab_patch_restart:
  register: __patch_restart
"""

RETURN = """
services:
  description: The services that ran from replaced files.
  returned: always
  type: list
  elements: str
  sample: [cron.service]
reboot:
  description: Why only a reboot makes the updates effective; empty when none is needed.
  returned: always
  type: list
  elements: str
  sample: ["asked for by linux-image-6.1.0-18-amd64"]
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"restart": {"type": "bool", "default": True}}, supports_check_mode=True)
    programs_here = programs(module)
    before = restarts(programs_here)
    if not before.services or not module.params["restart"]:
        module.exit_json(changed=False, services=list(before.services), reboot=reboot_reasons(before))
    if module.check_mode:
        would = f"would restart, as far as needrestart may: {', '.join(before.services)}"
        module.exit_json(changed=True, msg=would, services=list(before.services), reboot=[])
    # In batch mode needrestart only tells, so this is the mode that acts; what it achieved is read back.
    programs_here(NEEDRESTART, "-q", "-l", "-r", "a")
    after = restarts(programs_here)
    restarted = sorted(set(before.services) - set(after.services))
    result: dict[str, Any] = {"services": list(before.services), "reboot": reboot_reasons(after)}
    module.exit_json(changed=bool(restarted), msg="restarted " + (", ".join(restarted) or "nothing"), **result)


if __name__ == "__main__":
    main()
