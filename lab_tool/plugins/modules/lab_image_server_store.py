"""Ansible module `lab_image_server_store`: what an image server serves is looked at, filled and tidied."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_image_server import shelf

DOCUMENTATION = """
module: lab_image_server_store
short_description: See and change what an image server serves
description:
  - For the action plugin C(lab_image_server_publish), which copies the files themselves.
  - A file is served once its SHA-256 was found right on the server.
author: lab-tool
attributes:
  check_mode:
    description: Only C(look) is of use then; the others do nothing.
    support: full
options:
  path:
    description: The folder that is served.
    type: path
    required: true
  orders:
    description: The folder of the daemon's orders.
    type: path
    required: true
  do:
    description:
      - C(look) hashes what is there; C(stage) makes an empty folder for what comes; C(take) puts that where it is
        served; C(sweep) removes C(unwanted), except what an order came to need meanwhile.
    type: str
    choices: [look, stage, take, sweep]
    required: true
  files:
    description: What is wanted, or what came; each with C(path), C(size) and C(sha256).
    type: list
    elements: dict
    default: []
  unwanted:
    description: What to remove.
    type: list
    elements: str
    default: []
  owner:
    description: The account that copies; empty for root.
    type: str
    default: ""
"""

EXAMPLES = """
- name: See what is served
  lab_image_server_store:
    path: /srv/lab-image
    orders: /var/lib/lab-image-server/orders
    do: look
"""

RETURN = """
missing:
  description: Wanted files that are not there.
  returned: look
  type: list
damaged:
  description: Wanted files that are not what they should be.
  returned: look
  type: list
surplus:
  description: Files that neither the inventory nor an order wants.
  returned: look
  type: list
surplus_bytes:
  description: Their size.
  returned: look
  type: int
damaged_bytes:
  description: The size of the damaged ones.
  returned: look
  type: int
free:
  description: Free bytes.
  returned: look
  type: int
staging:
  description: The folder for what comes.
  returned: stage
  type: str
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "orders": {"type": "path", "required": True},
            "do": {"type": "str", "choices": ["look", "stage", "take", "sweep"], "required": True},
            "files": {"type": "list", "elements": "dict", "default": []},
            "unwanted": {"type": "list", "elements": "str", "default": []},
            "owner": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given, folder = module.params, Path(module.params["path"])
    if given["do"] == "look":
        module.exit_json(changed=False, **_look(folder, given["files"], Path(given["orders"])))
    if module.check_mode:
        module.exit_json(changed=True)
    if given["do"] == "stage":
        module.exit_json(changed=True, staging=shelf.stage(folder, given["owner"]))
    if given["do"] == "take":
        wrong = shelf.take(folder, given["files"])
        if wrong:
            module.fail_json(msg=wrong)
    if given["do"] == "sweep":
        still = shelf.surplus(folder, given["files"], Path(given["orders"]))
        shelf.sweep(folder, [name for name in given["unwanted"] if name in still])
        shutil.rmtree(folder / shelf.STAGING, ignore_errors=True)
    module.exit_json(changed=True)


def _look(folder: Path, wanted: list[dict[str, object]], orders: Path) -> dict[str, object]:
    missing, damaged = shelf.look(folder, wanted)
    extra = shelf.surplus(folder, wanted, orders)
    there = folder if folder.is_dir() else Path("/")
    return {
        "missing": missing,
        "damaged": damaged,
        "surplus": extra,
        "surplus_bytes": sum((folder / name).lstat().st_size for name in extra),
        "damaged_bytes": sum((folder / name).lstat().st_size for name in damaged),
        "free": shutil.disk_usage(there).free,
    }


if __name__ == "__main__":
    main()
