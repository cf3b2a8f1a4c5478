"""Ansible module `lab_patch_packages`: install what a policy wants updated."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_patch import install
from ansible.module_utils.lab_patch.host import needs, shortages
from ansible.module_utils.lab_patch.module import LOCK_TIMEOUT_SPEC
from ansible.module_utils.lab_patch.packages import Selection, open_cache, select
from ansible.module_utils.lab_patch.policy import POLICY_SPEC, Policy
from ansible.module_utils.lab_patch.programs import ENVIRONMENT, LockedError, daily_jobs_waiting, plain

DOCUMENTATION = """
module: lab_patch_packages
short_description: Update packages within a policy
description:
  - Lets apt's resolver find the updates that are in scope, and installs them in one transaction, with the very marks it
    was found with.
  - Removes nothing, moves no package that is out of scope or on hold, and adds only packages of the distribution (or
    listed ones of third parties) that an update needs. What can't be had that way is kept back.
  - Whether a package was asked for by somebody or came as a dependency stays as it is.
  - Settings files that were changed on the PC stay as they are.
  - Refuses before it starts where the disk is too full.
author: lab-tool
attributes:
  check_mode:
    description: Reports what would be installed.
    support: full
requirements: [python3-apt]
options:
  policy:
    description: What is in scope.
    type: dict
    required: true
    suboptions: &policy
      scope:
        description: Security updates only, or all.
        type: str
        choices: [security, full]
        required: true
      hold:
        description: Packages to leave alone (shell patterns), beside those on hold in dpkg.
        type: list
        elements: str
        default: []
      distribution:
        description: Which sources are the distribution's.
        type: list
        elements: dict
        required: true
        suboptions: &source
          origin: &pattern
            description: Shell pattern on this field of the source's Release file.
            type: str
          label: *pattern
          suite: *pattern
          codename: *pattern
          site:
            description: Shell pattern on the host the source is fetched from.
            type: str
      security:
        description: Which sources hold security updates.
        type: list
        elements: dict
        required: true
        suboptions: *source
      third_party:
        description: Which other sources may be updated from, in both scopes.
        type: list
        elements: dict
        default: []
        suboptions:
          origin: *pattern
          label: *pattern
          suite: *pattern
          codename: *pattern
          site: *pattern
          packages:
            description: Only these packages (shell patterns); empty for all.
            type: list
            elements: str
            default: []
  lists:
    description: Folder of package lists, from M(lab_patch_lists); empty for the system's own.
    type: str
    default: ""
  reserve:
    description: MiB that must stay free on the file system of C(/usr).
    type: int
    default: 500
  lock_timeout:
    description: Seconds to wait for whatever else uses apt.
    type: int
    default: 600
"""

EXAMPLES = """
- name: Install the security updates
  lab_patch_packages:
    policy:
      scope: security
      distribution: [{origin: Debian}]
      security: [{origin: Debian, label: Debian-Security}]
  register: __patch_packages
"""

RETURN = """
packages:
  description: What was to be updated, by name, with the version before and the version wanted.
  returned: always
  type: dict
  sample: {openssl: {installed: 3.0.11-1, available: 3.0.11-1+deb12u1}}
added:
  description: Packages that the updates bring along, with their versions.
  returned: always
  type: dict
  sample: {}
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "policy": {"type": "dict", "required": True, "options": POLICY_SPEC},
            "lists": {"type": "str", "default": ""},
            "reserve": {"type": "int", "default": 500},
            "lock_timeout": LOCK_TIMEOUT_SPEC,
        },
        supports_check_mode=True,
    )
    os.environ.update(ENVIRONMENT)
    try:
        policy = Policy.read(module.params["policy"])
        _act(module, policy)
    except ImportError:
        module.fail_json(msg="python3-apt is not installed")
    except (ValueError, LockedError, OSError, SystemError) as error:
        module.fail_json(msg=plain(str(error)))


def _act(module: Any, policy: Policy) -> None:
    timeout = module.params["lock_timeout"]
    selection = _chosen(module, policy)[1]
    if not selection.upgrades or module.check_mode:
        module.exit_json(changed=bool(selection.upgrades), msg=_message(selection), **_said(selection))
    with daily_jobs_waiting(timeout), install.dpkg_locked(timeout):
        # Chosen again: whoever held the locks may have installed something.
        cache, selection = _chosen(module, policy)
        trouble = install.commit(cache)
    if trouble:
        module.fail_json(msg=trouble, **_said(selection))
    module.exit_json(changed=bool(selection.upgrades), msg=_message(selection), **_said(selection))


def _chosen(module: Any, policy: Policy) -> tuple[Any, Selection]:
    """The cache with the updates marked in it, for which there is room."""
    cache = open_cache(module.params["lists"])
    selection = select(cache, policy)
    full = shortages(needs(selection, module.params["reserve"] * 1024**2))
    if full:
        module.fail_json(msg="; ".join(str(shortage) for shortage in full), **_said(selection))
    return cache, selection


def _said(selection: Selection) -> dict[str, Any]:
    packages = {name: step.as_json() for name, step in selection.upgrades.items()}
    return {"packages": packages, "added": dict(selection.added)}


def _message(selection: Selection) -> str:
    steps = [f"{name} {step.installed} -> {step.available}" for name, step in sorted(selection.upgrades.items())]
    return ", ".join(steps) or "nothing to install"


if __name__ == "__main__":
    main()
