"""Ansible module `lab_backup_test_evidence`: bring random files back from each repository, and compare them."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.compare import compare, draw, pattern
from ansible.module_utils.lab_backup.explain import explain
from ansible.module_utils.lab_backup.places import PLACES_SPEC, repository_of
from ansible.module_utils.lab_backup.restic import ResticError
from ansible.module_utils.lab_backup.snapshots import present
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_backup_test_evidence
short_description: Bring random files back from each repository, and compare them
description:
  - Draws files of the newest snapshot of each repository by lot, brings them back into a folder of its own (restic
    verifies each against the hashes in the repository), compares kind, size and time with the snapshot, and content
    with the PC's own file where that was not changed since. The folder is removed in any case.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Brings nothing back.
    support: full
options:
  places:
    description: The PC's repositories.
    type: list
    elements: dict
    default: []
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
  host:
    description: Under which name the PC's snapshots stand.
    type: str
    default: ""
  files:
    description: How many files from each repository.
    type: int
    default: 20
  seed:
    description: What the draw is made with.
    type: int
    default: 0
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Test that the PC can be restored
  lab_backup_test_evidence:
    places: "{{ __backup_places }}"
    host: "{{ inventory_hostname }}"
    seed: 4711
"""

RETURN = """
evidence:
  description: What was read, for the log.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(backup_test).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok).
      type: str
      returned: always
    values:
      description: >
        seed, and repositories, by name: snapshot; time; files and bytes that came back right; sha256 (over lines as
        sha256sum writes them, by path); live (files compared with the PC's own); trouble.
      type: dict
      returned: always
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "places": {**PLACES_SPEC, "required": False, "default": []},
            "host": {"type": "str", "default": ""},
            "files": {"type": "int", "default": 20},
            "seed": {"type": "int", "default": 0},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    found = {}
    if not given["failure"] and not module.check_mode:
        found = {place["name"]: _try(module, place["name"]) for place in given["places"]}
    wrong = [f"{name}: {value['trouble']}" for name, value in found.items() if value["trouble"]]
    reason = given["failure"] or "; ".join(wrong)
    values = {"seed": given["seed"], "repositories": found}
    end(module, "backup_test", "failed" if reason else "ok", reason, values)


def _try(module: Any, name: str) -> dict[str, Any]:
    value: dict[str, Any] = {"trouble": ""}
    try:
        value["trouble"] = _bring_back(module, name, value)
    except (ResticError, ValueError, KeyError, OSError) as error:
        value["trouble"] = str(error)
    return value


def _bring_back(module: Any, name: str, value: dict[str, Any]) -> str:
    """Fill in what was found; what is wrong."""
    repository = repository_of(module, name)
    snapshots = present(repository.snapshots(module.params["host"]), int(time.time()))
    if not snapshots:
        return "there is no snapshot"
    snapshot = snapshots[-1]
    value.update(snapshot=str(snapshot["id"]), time=str(snapshot["time"]))
    drawn = draw(repository.lines("ls", str(snapshot["id"])), module.params["seed"], module.params["files"])
    if not drawn:
        return "the newest snapshot holds no files"
    with tempfile.TemporaryDirectory(prefix="lab-backup-test-", dir="/var/tmp") as folder:
        includes = [text for node in drawn for text in ("--include", pattern(str(node["path"])))]
        code, out, err = repository.run("restore", value["snapshot"], "--target", folder, "--verify", *includes)
        if code:
            return str(explain(err or out))
        found = compare(drawn, folder, live=True)
    value.update(files=found.files, bytes=found.bytes, sha256=found.digest, live=found.live)
    if found.wrong:
        return f"{len(found.wrong)} of {len(drawn)} files did not come back as the snapshot has them"
    if found.live_wrong:
        return f"{len(found.live_wrong)} files are not those on the PC, though unchanged since"
    return ""


if __name__ == "__main__":
    main()
