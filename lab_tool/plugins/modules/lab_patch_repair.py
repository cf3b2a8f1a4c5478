"""Ansible module `lab_patch_repair`: finish what dpkg was cut off in."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_patch import dpkg
from ansible.module_utils.lab_patch.module import LOCK_TIMEOUT_SPEC, programs
from ansible.module_utils.lab_patch.programs import LockedError, daily_jobs_waiting, plain

DOCUMENTATION = """
module: lab_patch_repair
short_description: Finish an installation that was cut off
description:
  - Does what C(dpkg --configure -a) and C(apt-get --fix-broken install) do, where dpkg's own records say that it was
    interrupted. Nothing is ever removed.
  - A package that still can't be configured is reported, not a failure; an update to come may be what mends it.
author: lab-tool
attributes:
  check_mode:
    description: Reports what is unfinished and leaves it so.
    support: full
options:
  lock_timeout:
    description: Seconds to wait for whatever else uses apt.
    type: int
    default: 600
"""

EXAMPLES = """
- name: Finish what dpkg was cut off in
  lab_patch_repair:
    lock_timeout: 600
"""

RETURN = """
before:
  description: The packages that were unfinished, with their state in dpkg's words.
  returned: always
  type: dict
  sample: {lab-demo-slow: half-configured}
after:
  description: The packages that still are.
  returned: always
  type: dict
  sample: {}
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"lock_timeout": LOCK_TIMEOUT_SPEC}, supports_check_mode=True)
    timeout = module.params["lock_timeout"]
    programs_here = programs(module, timeout)
    before, cut_off = dpkg.unfinished(programs_here), dpkg.was_cut_off()
    if not before and not cut_off:
        module.exit_json(changed=False, before={}, after={})
    if module.check_mode:
        module.exit_json(changed=True, before=before, after=before, msg=_message(before))
    try:
        with daily_jobs_waiting(timeout):
            dpkg.repair(programs_here)
    except (LockedError, OSError) as error:
        module.fail_json(msg=plain(str(error)), before=before)
    after = dpkg.unfinished(programs_here)
    changed = before != after or cut_off != dpkg.was_cut_off()
    module.exit_json(changed=changed, before=before, after=after, msg=_message(before))


def _message(before: dict[str, str]) -> str:
    return "dpkg was interrupted" + (f" at {', '.join(sorted(before))}" if before else "")


if __name__ == "__main__":
    main()
