"""Ansible module `lab_lockdown_undo_evidence`: read back that no control is left in effect."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_control.journal import alone, journals
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_lockdown_undo_evidence
short_description: Read back that no control is left in effect
description:
  - Reads what the PC keeps of controls in effect. An item that was given back is gone from there, and no other is.
  - Fails, evidence and all, where something is left.
author: lab-tool
attributes:
  check_mode:
    description: Says what would be undone.
    support: full
options:
  results:
    description: What M(lab_control) said of each control.
    type: dict
    default: {}
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back that nothing is left
  lab_lockdown_undo_evidence:
"""

RETURN = """
evidence:
  description: >
    C(verb) (C(lockdown_undo)), C(outcome), C(reason), and C(values) with C(left) (by id, the items not given back).
  returned: always
  type: dict
"""
MOST = 10


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"results": {"type": "dict", "default": {}}, "failure": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    outcome, reason, values = _read_back(module)
    end(module, "lockdown_undo", outcome, reason, values)


def _read_back(module: Any) -> tuple[str, str, dict[str, Any]]:
    """Outcome, reason, values."""
    given = module.params
    try:
        with alone(reads=module.check_mode):
            left = {journal.control: list(journal.records)[:MOST] for journal in journals()}
    except (OSError, ValueError, KeyError) as error:
        return "failed", given["failure"] or f"can't be read back: {error}", {}
    values = {"left": left}
    if given["failure"]:
        return "failed", given["failure"], values
    if module.check_mode:
        return "ok", f"would be undone: {', '.join(left)}" if left else "", values
    why = [text for result in given["results"].values() for text in result.get("wrong", [])]
    if left or why:
        return "failed", f"not undone: {', '.join(left)}" + (f" ({why[0]})" if why else ""), values
    return "ok", "", values


if __name__ == "__main__":
    main()
