"""Ansible module `lab_image_server_code`: the daemon's code as one archive that Python runs from."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: lab_image_server_code
short_description: The image server's code as one archive
description:
  - For the control node. Puts Python files of the project into a zip archive, of the same bytes for the same files, so
    that the server gets all of a version or none of it.
author: lab-tool
attributes:
  check_mode:
    description: Makes the archive as well, which changes nothing but a file of the control node's own.
    support: full
options:
  project:
    description: The project's folder.
    type: path
    required: true
  parts:
    description: Files, and folders whose Python files are all taken, below it.
    type: list
    elements: str
    required: true
  dest:
    description: The archive.
    type: path
    required: true
"""

EXAMPLES = """
- name: Pack the daemon
  lab_image_server_code:
    project: /srv/lab
    parts: [lab_tool/errors.py, lab_tool/imaging/server]
    dest: state/image_server/code.zip
  delegate_to: localhost
"""

RETURN = """
dest:
  description: The archive.
  returned: success
  type: str
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "path", "required": True},
            "parts": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    project, dest = Path(module.params["project"]), Path(module.params["dest"])
    files = []
    for part in module.params["parts"]:
        found = sorted((project / part).rglob("*.py")) if (project / part).is_dir() else [project / part]
        if not found or not all(path.is_file() for path in found):
            module.fail_json(msg=f"{part} is not in {project}")
        files += found
    dest.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = dest.with_suffix(".new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(set(files)):
            entry = zipfile.ZipInfo(path.relative_to(project).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    new.replace(dest)
    module.exit_json(changed=False, dest=str(dest))


if __name__ == "__main__":
    main()
