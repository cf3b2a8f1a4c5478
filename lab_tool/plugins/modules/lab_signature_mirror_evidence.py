"""Ansible module `lab_signature_mirror_evidence`: read back what a mirror of signatures serves."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_evidence import end
from ansible.module_utils.lab_virus_scan import mirror

DOCUMENTATION = """
module: lab_signature_mirror_evidence
short_description: Read back what a mirror of signatures serves
description:
  - Asks the mirror itself, over HTTP, for each file that lies in its folders.
  - The outcome is C(ok) only if all of them are served, and ClamAV's own, where they are wanted, are there and not too
    old by their own word.
author: lab-tool
attributes:
  check_mode:
    description: Says what is at present.
    support: full
options:
  folder:
    description: Where the folders C(official) and C(extra) lie. Without it nothing is read.
    type: str
    default: ""
  databases:
    description: Whether ClamAV's own databases are wanted.
    type: bool
    default: true
  age:
    description: Days; older ones are failed.
    type: int
    default: 2
  url:
    description: The mirror's own address.
    type: str
    default: ""
  failure:
    description: What failed before this, if anything; the outcome is then C(failed).
    type: str
    default: ""
  now:
    description: The time by a clock that is believed, in seconds.
    type: int
    default: 0
"""

EXAMPLES = """
- name: Read back what the mirror serves
  lab_signature_mirror_evidence:
    folder: /srv/lab-signatures
    url: http://127.0.0.1:8090
    now: "{{ now().timestamp() | int }}"
"""

RETURN = """
evidence:
  description: >
    verb (C(signature_mirror)), outcome, reason, and as values: url; signatures (version, built, age_hours, files: each
    name, built, version); extra (name, built); extra_count; served (a count); fetched (what systemd says of the last
    fetching: success, exit-code: and the tool's last error, never).
  returned: always
  type: dict
"""


def main() -> None:
    """Entry point."""
    text: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "folder": text,
            "databases": {"type": "bool", "default": True},
            "age": {"type": "int", "default": 2},
            "url": text,
            "failure": text,
            "now": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def run(argv: list[str]) -> tuple[int, str]:
        code, out, _ = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"}, handle_exceptions=False)
        return int(code), str(out)

    trouble, values = "", {}
    if given["folder"]:
        wanted = mirror.Wanted(given["folder"], given["databases"], given["age"], given["url"])
        trouble, values = mirror.read(run, wanted, given["now"])
    outcome, reason = ("failed", given["failure"] or trouble) if given["failure"] or trouble else ("ok", "")
    if module.check_mode and not given["failure"]:
        outcome, reason = "ok", f"at present: {trouble}" if trouble else ""
    end(module, "signature_mirror", outcome, reason, values)


if __name__ == "__main__":
    main()
