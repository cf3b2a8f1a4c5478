"""Ansible module `lab_backup_restore`: bring back files of a backup into a new folder."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.compare import below, loose, pattern, size_of
from ansible.module_utils.lab_backup.explain import explain
from ansible.module_utils.lab_backup.places import PLACES_SPEC, repository_of
from ansible.module_utils.lab_backup.restic import Repository, ResticError
from ansible.module_utils.lab_backup.snapshots import by_id, present

DOCUMENTATION = """
module: lab_backup_restore
short_description: Bring back files of a backup into a new folder
description:
  - Takes the first repository that has the snapshot and answers. Refuses where the folder is there already, where the
    snapshot has no such path, and where the disk has no room for it.
author: lab-tool
attributes:
  check_mode:
    description: Looks, and brings nothing back.
    support: full
options:
  places:
    description: The PC's repositories.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name on the PC.
        type: str
        required: true
      server:
        description: The inventory's name of its server.
        type: str
        required: true
      off_site:
        description: Whether it is outside the school.
        type: bool
        default: false
      repository:
        description: Its id, as the server told it.
        type: str
        default: ""
  folder:
    description: The folder that holds addresses and passwords of the repositories.
    type: path
    required: true
  host:
    description: Whose backup.
    type: str
    required: true
  path:
    description: What to bring back, by the path it was saved under.
    type: str
    required: true
  to:
    description: The folder to make and to bring it back into.
    type: path
    required: true
  snapshot:
    description: The snapshot's id, or C(latest) for the newest that is not dated in the future.
    type: str
    default: latest
  from:
    description: Only this repository; empty for any.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Bring back
  lab_backup_restore:
    places: "{{ __backup_places }}"
    folder: /run/lab-backup-restore/places
    host: a301-01
    path: /home
    to: /srv/restored
"""

RETURN = """
restored:
  description: place, snapshot, path, to, files and bytes; files and bytes are what the snapshot has.
  returned: success
  type: dict
"""

# What must stay free on the disk (bytes).
RESERVE = 100 * 1024**2


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "places": PLACES_SPEC,
            "folder": {"type": "path", "required": True},
            "host": text,
            "path": text,
            "to": {"type": "path", "required": True},
            "snapshot": {"type": "str", "default": "latest"},
            "from": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    to = Path(module.params["to"])
    if to.exists() or to.is_symlink():
        module.fail_json(msg=f"{to} is there already, and a restore writes over nothing")
    if not to.parent.is_dir():
        module.fail_json(msg=f"there is no folder {to.parent} to make {to.name} in")
    there = loose(to.parent)
    if there:
        module.fail_json(msg=f"{there} is a link or not root's alone: somebody could lead the restore elsewhere")
    restored: dict[str, Any] = {"to": str(to), "path": module.params["path"]}
    if module.check_mode and not repository_of(module, _names(module)[0], module.params["folder"]).is_set_up:
        module.exit_json(changed=True, restored=restored)
    place, repository, snapshot = _find(module)
    try:
        nodes = below(repository.lines("ls", str(snapshot["id"])), module.params["path"])
    except (ResticError, ValueError) as error:
        module.fail_json(msg=f"{place}: {error}")
    if not nodes:
        module.fail_json(msg=f"snapshot {snapshot['short_id']} has no {module.params['path']}")
    size, free = size_of(nodes), shutil.disk_usage(to.parent).free
    if size + RESERVE > free:
        module.fail_json(msg=f"{to.parent} has {free // 1024**2} MiB free, too few for {size // 1024**2} MiB")
    files = sum(node["type"] == "file" for node in nodes)
    restored.update(place=place, snapshot=str(snapshot["id"]), time=str(snapshot["time"]), files=files, bytes=size)
    if not module.check_mode:
        _restore(module, repository, restored)
    module.exit_json(changed=True, restored=restored, msg=f"{files} files, {size} bytes of {snapshot['short_id']}")


def _names(module: Any) -> list[str]:
    """The repositories to ask."""
    only = module.params["from"]
    return [place["name"] for place in module.params["places"] if only in ("", place["name"])]


def _find(module: Any) -> tuple[str, Repository, Any]:
    """The first repository that has the snapshot."""
    wrong = []
    for name in _names(module):
        repository = repository_of(module, name, module.params["folder"])
        try:
            there = repository.snapshots(module.params["host"])
            newest = module.params["snapshot"] == "latest"
            found = by_id(present(there, int(time.time())) if newest else there, module.params["snapshot"])
        except (ResticError, ValueError) as error:
            wrong.append(f"{name}: {error}")
            continue
        if found:
            return name, repository, found
        wrong.append(f"{name}: there is no snapshot {module.params['snapshot']} of {module.params['host']}")
    module.fail_json(msg="; ".join(wrong))
    raise AssertionError


def _restore(module: Any, repository: Repository, restored: dict[str, Any]) -> None:
    to = Path(restored["to"])
    to.mkdir(mode=0o700)
    what = [] if restored["path"] == "/" else ["--include", pattern(restored["path"].rstrip("/"))]
    code, out, err = repository.run("restore", restored["snapshot"], "--target", str(to), "--verify", *what)
    if code:
        module.fail_json(msg=f"{restored['place']}: {explain(err or out)}; what came back is in {to}")


if __name__ == "__main__":
    main()
