"""Ansible module `lab_drift_evidence`: compare a PC with the inventory and with the school's standard."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_drift.compare import compare, supported
from ansible.module_utils.lab_drift.findings import reason, short
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_patch.module import programs

DOCUMENTATION = """
module: lab_drift_evidence
short_description: Compare a PC with the inventory and with the school's standard
description:
  - Reads the PC's own records and the kernel's tables, and names each difference as a finding. Changes nothing.
  - The outcome is C(ok) when everything could be read; findings are values, not failures. It is C(failed) where a part
    could not be read, with the findings of the others.
  - A finding may name a local account, since that is what is found. No names of people, no file contents, no arguments
    of programs are told.
author: lab-tool
attributes:
  check_mode:
    description: Reads only.
    support: full
requirements: [iproute2, findutils]
options:
  expected:
    description: What the inventory says of this PC. What is empty is not compared. Without it nothing is read.
    type: dict
    suboptions:
      host_name:
        description: Its name.
        type: str
        required: true
      address:
        description: Its IPv4 address.
        type: str
        required: true
      address6:
        description: Its IPv6 address.
        type: str
        default: ""
      mac:
        description: The MAC of the interface that has the address. Empty is a finding.
        type: str
        default: ""
      system:
        description: Its system, such as C(debian12).
        type: str
        default: ""
      time_zone:
        description: The school's time zone.
        type: str
        default: ""
      gateways:
        description: The gateways of its default routes.
        type: list
        elements: str
        default: []
      name_servers:
        description: Its name servers.
        type: list
        elements: str
        default: []
      image:
        description: The id of the image it was made from.
        type: str
        default: ""
      now:
        description: The control node's time, seconds since 1970.
        type: int
        required: true
  standard:
    description: What a PC may have. Without it nothing is read.
    type: dict
    suboptions:
      packages:
        description: Packages somebody may have asked for (shell patterns).
        type: list
        elements: str
        default: []
      ports:
        description: Ports that may be open to the network, such as C(tcp/22) or C(udp/5000-5010).
        type: list
        elements: str
        default: []
      accounts:
        description: Local accounts of people (shell patterns).
        type: list
        elements: str
        default: []
      admins:
        description: Accounts that may be members of the admin groups (shell patterns).
        type: list
        elements: str
        default: []
      admin_groups:
        description: Groups whose members are administrators, or can become so.
        type: list
        elements: str
        default: []
      setuid:
        description: Files that may have a set-user-ID or set-group-ID bit (shell patterns), as paths below C(/usr).
        type: list
        elements: str
        default: []
      interfaces:
        description: Interfaces whose addresses are not looked at (shell patterns).
        type: list
        elements: str
        default: []
      clock_seconds:
        description: How far the clock may be off.
        type: int
        default: 60
  controls:
    description: What M(lab_control) says is not in effect, its C(told).
    type: dict
    default: {}
  unchecked:
    description: Why the controls could not be checked, if they could not.
    type: str
    default: ""
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Compare with the inventory
  lab_drift_evidence:
    expected:
      host_name: a301-07
      address: 192.0.2.7
      mac: "02:00:00:05:00:07"
      now: "{{ now(utc=true).timestamp() | int }}"
    standard:
      ports: [tcp/22]
"""

RETURN = """
evidence:
  description: What was read, for the log. No secrets, no file contents, no names of people, no floats.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(drift).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: The first findings, or what could not be read.
      type: str
      returned: always
    values:
      description: >
        findings (a list: id, kind, severity red or yellow, rule, expected, found; at most 60, the worst first); red and
        yellow (counts of all); untold (by kind: how many more there are); host_name, system and image (as the PC says);
        unread (by part: why it could not be read).
      type: dict
      returned: always
"""

TEXT: dict[str, Any] = {"type": "str", "default": ""}
LIST: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
EXPECTED = {
    "host_name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "address6": TEXT,
    "mac": TEXT,
    "system": TEXT,
    "time_zone": TEXT,
    "gateways": LIST,
    "name_servers": LIST,
    "image": TEXT,
    "now": {"type": "int", "required": True},
}
LISTS = ("packages", "ports", "accounts", "admins", "admin_groups", "setuid", "interfaces")
STANDARD: dict[str, Any] = {**dict.fromkeys(LISTS, LIST), "clock_seconds": {"type": "int", "default": 60}}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "expected": {"type": "dict", "options": EXPECTED},
            "standard": {"type": "dict", "options": STANDARD},
            "controls": {"type": "dict", "default": {}},
            "unchecked": TEXT,
            "failure": TEXT,
        },
        supports_check_mode=True,
    )
    now = int(time.time())
    failure: str = module.params["failure"]
    values: dict[str, Any] = {}
    if not failure:
        failure, values = _read(module, now)
    end(module, "drift", "failed" if failure else "ok", failure or reason(values), values)


def _read(module: Any, now: int) -> tuple[str, dict[str, Any]]:
    """What failed, if anything, and the values."""
    given = module.params
    if given["expected"] is None or given["standard"] is None:
        return "nothing was read, since nothing to compare with was given", {}
    try:
        if not supported():
            return "the drift of this system is not supported yet", {}
        values = compare(given["expected"], given["standard"], given["controls"], programs(module), now)
        if given["unchecked"]:
            values["unread"]["controls"] = short(given["unchecked"])
    except OSError as error:
        return f"the PC's records can't be read: {error}", {}
    unread = "; ".join(f"{part} ({why})" for part, why in values["unread"].items())
    return short(f"can't be read: {unread}") if unread else "", values


if __name__ == "__main__":
    main()
