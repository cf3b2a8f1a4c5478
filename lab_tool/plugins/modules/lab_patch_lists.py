"""Ansible module `lab_patch_lists`: all package lists up to date, or a failure."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_patch import lists
from ansible.module_utils.lab_patch.module import LOCK_TIMEOUT_SPEC, programs
from ansible.module_utils.lab_patch.programs import LockedError, daily_jobs_waiting

DOCUMENTATION = """
module: lab_patch_lists
short_description: Bring apt's package lists up to date, all of them
description:
  - Fails when the list of a single source can't be fetched or proved, such as a mirror that is down, a bad signature or
    an expired Release file. C(apt-get update) alone, and M(ansible.builtin.apt), take a mirror that is down for a
    warning and go on with the old lists, for which nothing is ever pending.
author: lab-tool
attributes:
  check_mode:
    description:
      - Fetches into a folder of its own, which later tasks are told of. The system's lists stay as they are.
      - The folder is removed by O(discard=true).
    support: full
options:
  proxy:
    description: HTTP proxy or cache to fetch through, such as apt-cacher-ng; empty for the PC's own settings.
    type: str
    default: ""
  lock_timeout:
    description: Seconds to wait for whatever else uses apt.
    type: int
    default: 600
  discard:
    description: Fetch nothing; remove what check mode fetched.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Bring the package lists up to date
  lab_patch_lists:
    proxy: http://198.51.100.2:3142
  register: __patch_lists
"""

RETURN = """
lists:
  description: The folder that check mode fetched into; empty for the system's own.
  returned: success
  type: str
  sample: ""
settings:
  description: Settings for C(APT_CONFIG) that name that folder; empty for the system's own.
  returned: success
  type: str
  sample: ""
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "proxy": {"type": "str", "default": ""},
            "lock_timeout": LOCK_TIMEOUT_SPEC,
            "discard": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    timeout, proxy = module.params["lock_timeout"], module.params["proxy"]
    programs_here = programs(module, timeout)
    folder = settings = ""
    try:
        if module.params["discard"]:
            lists.discard_rehearsal()
        elif module.check_mode:
            folder, settings = lists.rehearse(programs_here, proxy)
        else:
            with daily_jobs_waiting(timeout):
                lists.update(programs_here, proxy)
    except (lists.ListsError, LockedError) as error:
        module.fail_json(msg=f"package lists: {error}")
    except OSError as error:
        module.fail_json(msg=f"package lists: {error.strerror}: {error.filename}")
    # Lists are no part of what the PC is; fetching them is no change of it.
    module.exit_json(changed=False, lists=folder, settings=settings)


if __name__ == "__main__":
    main()
