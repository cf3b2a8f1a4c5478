"""Ansible module `lab_virus_scan_signatures`: signatures from the school's mirror."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_virus_scan import signatures
from ansible.module_utils.lab_virus_scan.fetch import discard, fetch

DOCUMENTATION = """
module: lab_virus_scan_signatures
short_description: Fetch virus signatures from a mirror
description:
  - Lets freshclam fetch what its configuration names, and proves each file before it is put in place.
  - Extra files get the date that they have on the mirror, since it is all that says how old they are.
  - Files of signatures that are not wanted any more are removed.
  - Does not fail where the mirror can't be reached. How old the signatures then are is for the evidence to judge.
author: lab-tool
attributes:
  check_mode:
    description: Fetches nothing.
    support: full
options:
  mirror:
    description: Address of the mirror; empty fetches nothing.
    type: str
    default: ""
  official:
    description: ClamAV's own databases that are wanted.
    type: list
    elements: str
    default: []
  extra:
    description: Further files that are wanted.
    type: list
    elements: str
    default: []
"""

EXAMPLES = """
- name: Fetch signatures
  lab_virus_scan_signatures:
    mirror: http://198.51.100.2:8080
    official: [main, daily, bytecode]
  register: __virus_scan_fetched
"""

RETURN = """
trouble:
  description: Why not all could be fetched; empty where it could.
  returned: success
  type: str
  sample: ""
"""


def main() -> None:
    """Entry point."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={"mirror": {"type": "str", "default": ""}, "official": names, "extra": names},
        supports_check_mode=True,
    )
    given = module.params

    def run(argv: list[str]) -> tuple[int, str]:
        code, out, err = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)
        return int(code), f"{out}{err}"

    if module.check_mode:
        module.exit_json(changed=False, trouble="")
    try:
        before = signatures.digest()
        discard(given["official"], given["extra"])
        trouble = fetch(run, given["mirror"], given["official"], given["extra"]) if given["mirror"] else ""
        changed = signatures.digest() != before
    except OSError as error:
        module.fail_json(msg=f"signatures: {error.strerror or error}")
    module.exit_json(changed=changed, trouble=trouble)


if __name__ == "__main__":
    main()
