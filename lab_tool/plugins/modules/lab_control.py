"""Ansible module `lab_control`: put controls into effect, or undo them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_control.definition import DefinitionError, parse
from ansible.module_utils.lab_control.engine import Result, apply, inspect, undo
from ansible.module_utils.lab_control.guard import arm, begin, disarm, to_guard
from ansible.module_utils.lab_control.journal import alone, journals
from ansible.module_utils.lab_control.kind import ProgramError
from ansible.module_utils.lab_control.module import runner

DOCUMENTATION = """
module: lab_control
short_description: Put controls into effect, or undo them
description:
  - A control is data, items and checks; its form is documented in C(roles/lockdown/README.md).
  - What an item was like before it was first touched is kept on the PC, and undo gives back exactly that.
  - What can't be done, and a check that is not met, stands in C(told), and the other controls go on; it does not
    fail for it, since the evidence is read back afterwards.
author: lab-tool
attributes:
  check_mode:
    description: Says what would be changed; checks are only asked of controls that would not be changed.
    support: full
options:
  state:
    description:
      - C(applied) puts C(controls) into effect, and undoes those of C(unwanted) that an earlier run put into effect.
      - C(checked) changes nothing and tells what is not so.
      - C(undone) undoes every control that an earlier run put into effect.
    type: str
    choices: [applied, checked, undone]
    default: applied
  controls:
    description: The controls by id.
    type: dict
    default: {}
  unwanted:
    description: Controls that are not to be in effect.
    type: list
    elements: str
    default: []
  guard:
    description: >
      With C(applied), the PC undoes what this changes after so many seconds unless M(lab_control_guard) is told; 0 is
      never.
    type: int
    default: 0
  guard_program:
    description: The text of the program that undoes it.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Put the controls into effect
  lab_control:
    controls:
      core_dumps:
        files:
          - {path: /etc/security/limits.d/60-lab.conf, content: "* hard core 0\\n"}
"""

RETURN = """
told:
  description: By control, what was changed, what is wrong, and what can't be had on this PC.
  returned: always
  type: dict
changes:
  description: The same in lines, for the log; no contents.
  returned: always
  type: list
  elements: str
guarded:
  description: The controls that are undone unless M(lab_control_guard) is told in time.
  returned: always
  type: list
  elements: str
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["applied", "checked", "undone"], "default": "applied"},
            "controls": {"type": "dict", "default": {}},
            "unwanted": {"type": "list", "elements": "str", "default": []},
            "guard": {"type": "int", "default": 0},
            "guard_program": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        with alone(reads=module.check_mode or module.params["state"] == "checked"):
            results, guarded = _act(module)
    except (DefinitionError, OSError, ProgramError, ValueError) as error:
        module.fail_json(msg=f"controls: {error}")
    changes = [f"{control}: {text}" for control, result in results.items() for text in result.changed]
    told = {name: vars(result) for name, result in results.items() if any(vars(result).values())}
    module.exit_json(changed=bool(changes), told=told, changes=changes, guarded=guarded)


def _act(module: Any) -> tuple[dict[str, Result], list[str]]:
    """Results by control, and what the guard would undo."""

    given, check, run = module.params, bool(module.check_mode), runner(module)
    controls = [parse(name, raw) for name, raw in given["controls"].items()]
    if given["state"] == "undone":
        results = {journal.control: undo(journal, run, check=check) for journal in journals()}
        if not check and not journals():
            disarm(run)
        return results, []
    if given["state"] == "checked":
        return {control.id: inspect(control, run) for control in controls}, []
    off = [journal for journal in journals() if journal.control in given["unwanted"]]
    results = {journal.control: undo(journal, run, check=check) for journal in off}
    guarded = to_guard(controls, run) if given["guard"] else []
    if guarded and not check:
        arm(guarded, given["guard"], given["guard_program"], run)
    results |= {control.id: apply(control, run, check=check) for control in controls}
    if guarded and not check:
        begin(run)
    return results, guarded


if __name__ == "__main__":
    main()
