"""Ansible module `lab_image_restart`: restart a PC so that it starts from the network."""

from __future__ import annotations

import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_image.firmware import network_entry
from ansible.module_utils.lab_patch.module import programs
from ansible.module_utils.lab_patch.sessions import present

DOCUMENTATION = """
module: lab_image_restart
short_description: Restart a PC so that it starts from the network
description:
  - Leaves a PC alone at which somebody is logged in, unless told otherwise.
  - With UEFI it asks the firmware to start from the network next, where the firmware lists such an entry. With BIOS,
    and without such an entry, the network has to stand first in the order that the firmware keeps.
  - The restart begins two seconds later, so that the module can answer.
author: lab-tool
attributes:
  check_mode:
    description: Restarts nothing.
    support: full
options:
  logged_in:
    description: C(defer) leaves a PC alone at which somebody is logged in, C(ignore) does not ask.
    type: str
    choices: [defer, ignore]
    default: defer
  mac:
    description: The card to start from, where the firmware's entries name cards.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Restart to the network
  lab_image_restart:
    logged_in: defer
"""

RETURN = """
in_use:
  description: Whether somebody works at the PC, so that it was left alone.
  returned: always
  type: bool
  sample: false
entry:
  description: The firmware's entry that was asked for; empty where there is none.
  returned: always
  type: str
  sample: "0003"
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "logged_in": {"type": "str", "choices": ["defer", "ignore"], "default": "defer"},
            "mac": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    here = programs(module)
    if module.params["logged_in"] == "defer" and present(here):
        module.exit_json(changed=False, in_use=True, entry="")
    entry = ""
    if shutil.which("efibootmgr"):
        code, out, _ = here("efibootmgr")
        entry = network_entry(out, module.params["mac"]) if code == 0 else ""
    if module.check_mode:
        module.exit_json(changed=True, in_use=False, entry=entry)
    if entry:
        code, _, err = here("efibootmgr", "--bootnext", entry)
        if code != 0:
            module.fail_json(msg=f"the firmware refused to start from the network: {err.strip()[:200]}")
    code, _, err = here("systemd-run", "--quiet", "--collect", "--on-active=2", "systemctl", "reboot")
    if code != 0:
        module.fail_json(msg=f"it could not be restarted: {err.strip()[:200]}")
    module.exit_json(changed=True, in_use=False, entry=entry)


if __name__ == "__main__":
    main()
