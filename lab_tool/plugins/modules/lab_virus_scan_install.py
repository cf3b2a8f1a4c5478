"""Ansible module `lab_virus_scan_install`: `lab-scan` and the settings of the engine, on the PC."""

from __future__ import annotations

import os
import pkgutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_virus_scan import command

DOCUMENTATION = """
module: lab_virus_scan_install
short_description: Install lab-scan on a PC, and write settings
description:
  - Installs C(/usr/local/libexec/lab-scan), which scans files and folders with the signatures on the PC, and what it is
    made of below C(/usr/local/lib/lab). It is the same code that the modules run.
  - Writes files of settings, in one step. All of it is root's, and may be read by everybody.
author: lab-tool
attributes:
  check_mode:
    description: Says whether anything would be written.
    support: full
options:
  settings:
    description: Contents of files of settings, by path.
    type: dict
    default: {}
"""

EXAMPLES = """
- name: Install lab-scan
  lab_virus_scan_install:
    settings:
      /etc/clamav/clamd.conf: "{{ lookup('ansible.builtin.template', 'clamd.conf.j2') }}"
"""

RETURN = """
files:
  description: What was written or removed.
  returned: success
  type: list
  sample: [/usr/local/libexec/lab-scan]
"""

PROGRAM = "/usr/local/libexec/lab-scan"
LIBRARY = "/usr/local/lib/lab/lab_virus_scan"
TEXT = """\
#!/usr/bin/python3 -I
# Written by the role virus_scan; what it does: lab-scan --help
import subprocess
import sys

sys.path.insert(0, "/usr/local/lib/lab")

from lab_virus_scan.command import main


def run(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


sys.exit(main(sys.argv[1:], run))
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"settings": {"type": "dict", "default": {}}}, supports_check_mode=True)
    package = command.__name__.rpartition(".")[0]
    wanted = {
        f"{LIBRARY}/{name}.py": pkgutil.get_data(package, f"{name}.py") or b"" for name in ("__init__", *command.PARTS)
    }
    wanted[PROGRAM] = TEXT.encode("ascii")
    wanted.update({path: str(text).encode() for path, text in module.params["settings"].items()})
    try:
        changed = _install(module, wanted)
    except OSError as error:
        module.fail_json(msg=f"lab-scan can't be installed: {error.strerror}: {error.filename}")
    module.exit_json(changed=bool(changed), files=changed, msg=", ".join(changed) or "nothing to write")


def _install(module: Any, wanted: dict[str, bytes]) -> list[str]:
    changed = []
    for path, content in wanted.items():
        mode = 0o755 if path == PROGRAM else 0o644
        if _is_right(path, content, mode):
            continue
        changed.append(path)
        if not module.check_mode:
            Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            draft = Path(f"{path}.new")
            draft.write_bytes(content)
            draft.chmod(mode)
            os.chown(draft, 0, 0)
            draft.replace(path)
    for stale in Path(LIBRARY).glob("*.py"):
        if str(stale) not in wanted:
            changed.append(str(stale))
            if not module.check_mode:
                stale.unlink()
    return changed


def _is_right(path: str, content: bytes, mode: int) -> bool:
    try:
        status = Path(path).lstat()
        return Path(path).read_bytes() == content and status.st_mode & 0o7777 == mode and status.st_uid == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    main()
