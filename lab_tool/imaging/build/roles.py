"""Roles of a recipe, run on a root file system that nobody has started: Ansible over SSH, as on a PC.

The SSH server sits in the tree, at the other end of a pipe, and nothing listens. Services are not started: what is
enabled starts on the PCs. The way to packages is this control node's while the roles run, and no longer.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.apt import Apt
from lab_tool.imaging.build.programs import tool

_SSHD = """HostKey /run/lab-build/host
AuthorizedKeysFile /run/lab-build/client.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""
# Everything that is mounted here is gone when the connection ends.
_ENTER = """set -eu
tree=$1
here=$2
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=755 run "$tree/run"
mkdir "$tree/run/sshd" "$tree/run/lab-build"
cp "$here/host" "$here/client.pub" "$here/sshd_config" "$tree/run/lab-build/"
for pair in /etc/resolv.conf:etc/resolv.conf "$here/policy-rc.d:usr/sbin/policy-rc.d" \\
  "$here/apt.conf:etc/apt/apt.conf.d/99lab-build" \\
  /etc/ssl/certs/ca-certificates.crt:etc/ssl/certs/ca-certificates.crt; do
  [ ! -e "${pair%%:*}" ] || [ ! -e "$tree/${pair##*:}" ] || mount --bind "${pair%%:*}" "$tree/${pair##*:}"
done
exec chroot "$tree" /usr/sbin/sshd -i -f /run/lab-build/sshd_config
"""
_NO_SERVICES = "#!/bin/sh\nexit 101\n"
# Files that are mounted over; there only while the roles run.
_OVER = ("usr/sbin/policy-rc.d", "etc/apt/apt.conf.d/99lab-build", "etc/resolv.conf")
_LAST_LINES = 20


def require_roles(roles: Sequence[str], project: Path) -> None:
    """Raises `LabError` unless all of them are there; asked before anything is built."""
    missing = [role for role in roles if not (project / "roles" / role / "tasks").is_dir()]
    if missing:
        raise LabError(f"there is no role {', '.join(missing)}", where=str(project / "roles"))


def run_roles(roles: Sequence[str], tree: Path, work: Path, apt: Apt, *, project: Path, inventory: Path) -> None:
    """Run the roles, which lie in `project/roles`, in their order on `tree`, with the variables that the school has for
    all its machines; `work` is a folder for what that takes. Raises `LabError` when one fails.
    """
    here = work / "roles"
    _lay_out(roles, here, tree, apt, inventory)
    made = [tree / name for name in _OVER if not os.path.lexists(tree / name)]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    try:
        _play(here, project, roles)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _lay_out(roles: Sequence[str], here: Path, tree: Path, apt: Apt, inventory: Path) -> None:
    (here / "inventory").mkdir(parents=True)
    for name in ("host", "client"):
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", here / name, what="a key for this build")
    contained = "unshare --mount --propagation private --pid --fork --kill-child"
    enter = (
        f"exec {contained} sh {shlex.quote(str(here / 'enter'))} {shlex.quote(str(tree))} {shlex.quote(str(here))}\n"
    )
    files = {
        "sshd_config": _SSHD,
        "enter": _ENTER,
        "proxy": enter,
        "policy-rc.d": _NO_SERVICES,
        "apt.conf": apt.options,
        "play.yml": json.dumps([{"hosts": "image", "gather_facts": True, "roles": list(roles)}]),
    }
    for name, text in files.items():
        (here / name).write_text(text, encoding="utf-8")
    (here / "policy-rc.d").chmod(0o755)
    options = (
        f"-o ProxyCommand='sh {shlex.quote(str(here / 'proxy'))}' -o StrictHostKeyChecking=no "
        "-o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o ControlMaster=no -F none"
    )
    host = {
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(here / "client"),
        "ansible_ssh_args": options,
        "ansible_pipelining": True,
        "ansible_become": False,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (here / "inventory/hosts.json").write_text(json.dumps({"all": {"hosts": {"image": host}}}), encoding="utf-8")
    if (inventory / "group_vars").is_dir():
        (here / "inventory/group_vars").symlink_to(inventory / "group_vars")


def _play(here: Path, project: Path, roles: Sequence[str]) -> None:
    plugins = project / "lab_tool" / "plugins"
    settings = {
        # Of this run, and not of the project: what is recorded is the image that comes of it.
        "ANSIBLE_CONFIG": str(here / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(project / "roles"),
        "ANSIBLE_LIBRARY": str(plugins / "modules"),
        "ANSIBLE_ACTION_PLUGINS": str(plugins / "action"),
        "ANSIBLE_MODULE_UTILS": str(plugins / "module_utils"),
        "ANSIBLE_HOME": str(here / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
    }
    (here / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    words = (sys.executable, "-m", "ansible", "playbook", "-i", here / "inventory/hosts.json", here / "play.yml")
    done = tool(*words, what="the roles", env=settings, accept=range(256))
    if done.code:
        said = (done.out + done.err).decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise LabError("\n".join([f"a role of {', '.join(roles)} failed in the image", *said]))
