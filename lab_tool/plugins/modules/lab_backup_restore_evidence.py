"""Ansible module `lab_backup_restore_evidence`: compare what was brought back with the snapshot it came from."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.compare import below, compare
from ansible.module_utils.lab_backup.places import repository_of
from ansible.module_utils.lab_backup.restic import ResticError
from ansible.module_utils.lab_evidence import end

DOCUMENTATION = """
module: lab_backup_restore_evidence
short_description: Compare what was brought back with the snapshot it came from
description:
  - Lists the snapshot anew and looks at each of its files below the new folder, kind, size and time; hashes all of
    them; and compares each with the PC's own where that was not changed since.
  - Fails, evidence and all, where the outcome is C(failed).
author: lab-tool
attributes:
  check_mode:
    description: Compares nothing, since nothing was brought back.
    support: full
options:
  folder:
    description: The folder that holds addresses and passwords of the repositories.
    type: path
    default: ""
  restored:
    description: What M(lab_backup_restore) returned.
    type: dict
    default: {}
  live:
    description: Whether the files were this machine's.
    type: bool
    default: false
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
"""

EXAMPLES = """
- name: Read back
  lab_backup_restore_evidence:
    folder: /run/lab-backup-restore/places
    restored: "{{ __backup_restored.restored }}"
"""

RETURN = """
evidence:
  description: What was read, for the log.
  returned: always
  type: dict
  contains:
    verb:
      description: Always C(backup_restore).
      type: str
      returned: always
    outcome:
      description: C(ok) or C(failed).
      type: str
      returned: always
    reason:
      description: Why it is not C(ok), or what would be done in check mode.
      type: str
      returned: always
    values:
      description: >
        place (the repository); snapshot; time; path; to; files and bytes that came back as the snapshot has them;
        sha256 (over lines as sha256sum writes them, by path); live (files compared with the machine's own).
      type: dict
      returned: always
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "default": ""},
            "restored": {"type": "dict", "default": {}},
            "live": {"type": "bool", "default": False},
            "failure": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    values = dict(module.params["restored"])
    reason = module.params["failure"] or _compare(module, values)
    outcome = "ok" if not reason else "failed"
    if module.check_mode and outcome == "ok":
        reason = f"{values.get('files', 'its')} files would be brought back into {values.get('to', '')}"
    end(module, "backup_restore", outcome, reason, values)


def _compare(module: Any, values: dict[str, Any]) -> str:
    """Fill in what was found; what is wrong."""
    if module.check_mode:
        return ""
    if not values:
        return "nothing was brought back"
    try:
        repository = repository_of(module, values["place"], module.params["folder"])
        nodes = below(repository.lines("ls", values["snapshot"]), values["path"])
    except (ResticError, ValueError, OSError) as error:
        return f"{values['place']}: {error}"
    found = compare(nodes, values["to"].rstrip("/"), live=module.params["live"])
    values.update(files=found.files, bytes=found.bytes, sha256=found.digest, live=found.live)
    if found.wrong:
        return f"{len(found.wrong)} of {len(nodes)} did not come back as the snapshot has them"
    if found.live_wrong:
        return f"{len(found.live_wrong)} files are not those on the machine, though unchanged since"
    return ""


if __name__ == "__main__":
    main()
