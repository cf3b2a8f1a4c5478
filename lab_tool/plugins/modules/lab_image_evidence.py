"""Ansible module `lab_image_evidence`: let a PC that was imaged say which image, name and address it has."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_drift.network import addresses
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_image.verdict import Found, judge

DOCUMENTATION = """
module: lab_image_evidence
short_description: Read back which image, name and address a PC has
description:
  - Runs on the PC after it has started from its new disk. What the deploy system wrote down, the name, the address on
    the card and the SSH host keys have to be those of the order.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Says what would be.
    support: full
options:
  wanted:
    description: What the PC must say. image, order, host, address, mac, cells.
    type: dict
    default: {}
  host_keys:
    description: Public lines of the SSH host keys that the deploy system made on the PC.
    type: list
    elements: str
    default: []
  read_back:
    description: What the deploy system read back from the disk, for the log.
    type: dict
    default: {}
  would:
    description: What would be done, in check mode.
    type: str
    default: ""
  in_use:
    description: Whether the PC was left alone because somebody works at it; the outcome is then C(deferred).
    type: bool
    default: false
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back what the PC is
  lab_image_evidence:
    wanted: {image: "...", order: o-0123456789abcdef, host: a301-07, address: 10.3.1.7, mac: "...", cells: "..."}
    host_keys: ["ssh-ed25519 AAAA..."]
"""

RETURN = """
evidence:
  description: What was read, for the log.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(image).
      type: str
      returned: always
    outcome:
      description: C(ok), C(deferred) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), or what would be done in check mode.
      type: str
      returned: always
    values:
      description: >
        image (id), name, version, order, deploy, host, address, cells (SHA-256 over what was read back from the disk),
        fetched_bytes, written_bytes, compared_bytes, seconds, as far as they are known.
      type: dict
      returned: always
"""

RECORD = Path("/etc/lab/image.json")
TOLD = ("image", "name", "version", "order", "deploy", "host", "cells", "written_at")
HOST_KEYS = Path("/etc/ssh")


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "default": {}},
            "host_keys": {"type": "list", "elements": "str", "default": []},
            "read_back": {"type": "dict", "default": {}},
            "would": text,
            "in_use": {"type": "bool", "default": False},
            "failure": text,
        },
        supports_check_mode=True,
    )
    outcome, reason, values = _read_back(module)
    end(module, "image", outcome, reason, values)


def _read_back(module: Any) -> tuple[str, str, dict[str, Any]]:
    told = {name: value for name, value in module.params["read_back"].items() if isinstance(value, int | str)}
    if module.params["failure"]:
        return "failed", module.params["failure"], told
    if module.params["in_use"]:
        return "deferred", "somebody is logged in", {}
    if module.check_mode:
        return "ok", module.params["would"], {}
    wanted = {name: str(value) for name, value in module.params["wanted"].items()}
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        found = Found(record, socket.gethostname(), _addresses(module), _host_keys())
    except (OSError, ValueError) as error:
        return "failed", f"the PC can't say what it is: {error}", told
    outcome, reason = judge(wanted, module.params["host_keys"], found)
    said = {name: record[name] for name in TOLD if isinstance(record.get(name), int | str)}
    return outcome, reason, {**told, **said, "address": wanted["address"] if outcome == "ok" else ""}


def _addresses(module: Any) -> list[tuple[str, str]]:
    code, out, err = module.run_command(["ip", "-json", "address", "show"])
    if code != 0:
        raise ValueError(f"ip failed: {err.strip()[:200]}")
    return [(each.mac, each.text) for each in addresses(out)]


def _host_keys() -> list[str]:
    return [path.read_text(encoding="ascii") for path in sorted(HOST_KEYS.glob("ssh_host_*_key.pub"))]


if __name__ == "__main__":
    main()
