"""Ansible module `lab_backup_secrets`: the passwords of a backup server's accounts and repositories, made once."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: lab_backup_secrets
short_description: Hand out the passwords of a backup server's accounts and repositories
description:
  - For the control node. Each PC has an account on each server and a password for its repository there, 256 random bits
    each, in files that only the account of C(lab) can read.
  - Use it with C(no_log).
author: lab-tool
attributes:
  check_mode:
    description: Makes no files; what would be made comes as the word C(new).
    support: full
options:
  folder:
    description: Where they are kept.
    type: path
    required: true
  server:
    description: The inventory's name of the server.
    type: str
    required: true
  clients:
    description: The inventory's names of the PCs.
    type: list
    elements: str
    required: true
  make:
    description: Make what is not there; otherwise that is a failure.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Hand out the passwords of this server
  lab_backup_secrets:
    folder: state/backup
    server: b001-01
    clients: [a301-01]
    make: true
  delegate_to: localhost
  no_log: true
"""

RETURN = """
clients:
  description: >
    By PC the password of its account (C(http)), what C(htpasswd) holds of it (C(account)), and the password of its
    repository (C(repository)).
  returned: success
  type: dict
authority:
  description: The certificate of the authority (PEM); empty before there is one.
  returned: success
  type: str
repositories:
  description: The ids of the repositories by PC, as the server told them; empty before it did.
  returned: success
  type: dict
"""

KINDS = ("http", "repository")
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "server": {"type": "str", "required": True},
            "clients": {"type": "list", "elements": "str", "required": True},
            "make": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    top = Path(given["folder"])
    strange = [name for name in (given["server"], *given["clients"]) if not NAME.fullmatch(name)]
    if strange:
        module.fail_json(msg=f"no name of a host: {', '.join(strange)}")
    made: list[str] = []
    clients: dict[str, dict[str, str]] = {}
    for client in given["clients"]:
        folder = top / "servers" / given["server"] / client
        one = {kind: _secret(module, folder / kind, made) for kind in KINDS}
        clients[client] = {**one, "account": _account(one["http"])}
    authority, known = top / "ca.crt", top / "servers" / given["server"] / "repositories.json"
    module.exit_json(
        changed=bool(made),
        clients=clients,
        authority=authority.read_text(encoding="ascii") if authority.exists() else "",
        repositories=json.loads(known.read_text(encoding="ascii")) if known.exists() else {},
    )


def _account(password: str) -> str:
    """The password for htpasswd. SHA-1 will do for 256 random bits, and a slow hash would slow every single request."""
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def _secret(module: Any, path: Path, made: list[str]) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    if not module.params["make"]:
        server = module.params["server"]
        module.fail_json(
            msg=f"{server} has no repository for {path.parent.name} yet. "
            f'Run: lab change request backup_server --host {server} --why "..."'
        )
    made.append(str(path))
    if module.check_mode:
        return "new"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(32)
    # Whole or not at all; a second run at the same time takes what the first has written.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        secret = path.read_text(encoding="ascii").strip()
    finally:
        new.unlink()
    return secret


if __name__ == "__main__":
    main()
