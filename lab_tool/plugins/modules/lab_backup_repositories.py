"""Ansible module `lab_backup_repositories`: one repository a PC on a backup server, with the server's own key in it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lab_backup.explain import explain

DOCUMENTATION = """
module: lab_backup_repositories
short_description: One repository a PC, with the server's own key in it
description:
  - Makes each repository on the server's disk with a password of the server's own, which is made there, for root
    alone, and never leaves it. Then gives the PC's password a key in it.
  - Where a PC's password is another than before, the keys of the old one are taken out.
  - Removes no repository of a PC that is no longer named.
author: lab-tool
attributes:
  check_mode:
    description: Tells for which PCs something would be done.
    support: full
options:
  path:
    description: The folder of the repositories.
    type: path
    required: true
  user:
    description: The account that owns them.
    type: str
    required: true
  keys:
    description: The folder of the server's own passwords.
    type: path
    required: true
  clients:
    description: By PC, under C(repository), its password for its repository.
    type: dict
    required: true
"""

EXAMPLES = """
- name: Make the repositories
  lab_backup_repositories:
    path: /srv/lab-backup
    user: lab-backup
    keys: /etc/lab-backup-server/keys
    clients: "{{ __backup_server_secrets.clients }}"
  no_log: true
"""

RETURN = """
repositories:
  description: The id of each repository by PC.
  returned: success
  type: dict
done:
  description: The PCs for which something was done.
  returned: success
  type: list
  elements: str
"""


# restic says so where others expect its answer.
PROMPT = "reading repository password from stdin\n"
# How the server's program calls a repository while it tidies it.
AWAY = ".tidied-"


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "keys": {"type": "path", "required": True, "no_log": False},
            "clients": {"type": "dict", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    done, known = [], {}
    for client, passwords in sorted(module.params["clients"].items()):
        one = _Client(module, client, passwords["repository"])
        if one.is_done():
            known[client] = one.known()["id"]
            continue
        done.append(client)
        if not module.check_mode:
            known[client] = one.provide()
    module.exit_json(changed=bool(done), repositories=known, done=done)


class _Client:
    """The repository of one PC."""

    def __init__(self, module: Any, name: str, password: str) -> None:
        self.module, self.name, self.password = module, name, password
        self.folder = Path(module.params["path"]) / name
        self.key = Path(module.params["keys"]) / name
        # Which password was given a key, and the repository's id: asking restic costs half a second a PC.
        self.note = Path(module.params["keys"]).parent / "known" / f"{name}.json"

    def known(self) -> Any:
        """What was noted; nothing where that can't be read."""
        try:
            return json.loads(self.note.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}

    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        there = self.key.exists() and (self.folder / "config").exists()
        return there and self.known().get("password") == self._digest()

    def provide(self) -> str:
        """Make what is missing; the repository's id."""
        if self.folder.with_name(AWAY + self.name).exists():
            self.module.fail_json(msg=f"the repository of {self.name} is being tidied; run this again later")
        if not self.key.exists():
            self._make_key()
        if not (self.folder / "config").exists():
            self.folder.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(self.folder, self.module.params["user"], self.module.params["user"])
            self._restic("init")
        self._admit()
        identity = str(json.loads(self._restic("cat", "config", "--no-lock"))["id"])
        self.note.parent.mkdir(mode=0o700, exist_ok=True)
        self.note.write_text(json.dumps({"id": identity, "password": self._digest()}), encoding="ascii")
        return identity

    def _make_key(self) -> None:
        """The server's own password, on the disk as a whole: an empty one would lock the server out for good."""
        new = self.key.parent.with_name("unfinished")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.key)

    def _admit(self) -> None:
        """Give the PC's password a key, and take out every key but that and the server's own."""
        before = json.loads(self._restic("key", "list", "--json", "--no-lock"))
        handle, path = tempfile.mkstemp(dir="/run", prefix="lab-backup-")
        try:
            shutil.chown(path, self.module.params["user"])
            with os.fdopen(handle, "w") as file:
                file.write(self.password + "\n")
            self._restic("key", "add", "--new-password-file", path, "--host", self.name)
        finally:
            Path(path).unlink()
        for key in before:
            if not key["current"]:
                self._restic("key", "remove", key["id"])

    def _restic(self, *arguments: str) -> str:
        user = self.module.params["user"]
        argv = ["runuser", "-u", user, "--", "restic", "--no-cache", "--repo", str(self.folder), *arguments]
        code, out, err = self.module.run_command(
            argv, data=self.key.read_text(encoding="ascii"), cwd="/", umask=0o077, environ_update={"HOME": "/"}
        )
        if code:
            self.module.fail_json(msg=f"{self.name}: restic {arguments[0]}: {explain(err)}")
        return str(out).replace(PROMPT, "", 1)

    def _digest(self) -> str:
        return hashlib.sha256(self.password.encode()).hexdigest()


if __name__ == "__main__":
    main()
