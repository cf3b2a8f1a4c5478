"""Ansible module `lab_lockdown_evidence`: read back which controls are in effect."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_control.definition import DefinitionError, parse
from ansible.module_utils.lab_control.engine import inspect
from ansible.module_utils.lab_control.guard import armed, rolled_back
from ansible.module_utils.lab_control.journal import alone, journals
from ansible.module_utils.lab_control.module import runner
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_lockdown_evidence
short_description: Read back which controls are in effect
description:
  - Asks the PC itself, control by control, after the act. No exit code of an earlier task counts.
  - The outcome is C(ok) only if every control that has to be in effect is, and none is left that must not be.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Controls that would be put into effect don't count against the outcome.
    support: full
options:
  profile:
    description: What the PC is for.
    type: str
    default: ""
  controls:
    description: The controls that have to be in effect, by id.
    type: dict
    default: {}
  waivers:
    description: The waivers in force.
    type: list
    elements: dict
    default: []
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back which controls are in effect
  lab_lockdown_evidence:
    profile: student
    controls: "{{ __lockdown_on }}"
"""

RETURN = """
evidence:
  description: What was read, for the log. No secrets, no file contents, no floats.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(lockdown).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Which controls are not in effect, or would be put into effect in check mode.
      type: str
      returned: always
    values:
      description: >
        profile; in_effect (ids); wrong (by id, what is not so, in a few words); waived (by id: reason, owner,
        last_day); left (ids in effect that must not be); notes (by id, what can't be had on this PC); rolled_back (ids
        that the PC undid, since the control node could not log in again).
      type: dict
      returned: always
"""
LONGEST, MOST = 160, 4


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "profile": {"type": "str", "default": ""},
            "controls": {"type": "dict", "default": {}},
            "waivers": {"type": "list", "elements": "dict", "default": []},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        outcome, reason, values = _read_back(module)
    except (DefinitionError, OSError, ValueError) as error:
        outcome, reason, values = "failed", module.params["failure"] or f"can't be read back: {error}", {}
    end(module, "lockdown", outcome, reason, values)


def _read_back(module: Any) -> tuple[str, str, dict[str, Any]]:
    """Outcome, reason, values."""
    given, run = module.params, runner(module)
    controls = [parse(name, raw) for name, raw in given["controls"].items()]
    with alone(reads=module.check_mode):
        results = {control.id: inspect(control, run) for control in controls}
        left = sorted({journal.control for journal in journals()} - results.keys())
        undone, open_still = rolled_back(), armed()
    for name in set(open_still) & results.keys():
        results[name].wrong.append("nobody has confirmed it: the PC will undo it by itself")
    wrong = {name: [text[:LONGEST] for text in result.wrong[:MOST]] for name, result in results.items() if result.wrong}
    values: dict[str, Any] = {
        "profile": given["profile"],
        "in_effect": sorted(results.keys() - wrong.keys()),
        "wrong": wrong,
        "waived": {
            waiver["control"]: {key: str(waiver[key]) for key in ("reason", "owner", "last_day")}
            for waiver in given["waivers"]
        },
        "left": left,
        "notes": {
            name: [text[:LONGEST] for text in result.notes[:MOST]] for name, result in results.items() if result.notes
        },
        "rolled_back": [name for name in undone if name in wrong],
    }
    outcome, reason = _judge(given["failure"], values, check=bool(module.check_mode))
    return outcome, reason, values


def _judge(failure: str, values: dict[str, Any], *, check: bool) -> tuple[str, str]:
    trouble = [f"not in effect: {', '.join(sorted(values['wrong']))}"] if values["wrong"] else []
    trouble += [f"still in effect: {', '.join(values['left'])}"] if values["left"] else []
    if failure:
        return "failed", failure
    if check or not trouble:
        return "ok", "; ".join(trouble)
    first = next(iter(values["wrong"].values()), [""])[0]
    return "failed", "; ".join(trouble) + (f" ({first})" if first else "")


if __name__ == "__main__":
    main()
