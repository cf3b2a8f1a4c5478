"""What makes one host differ from the next: its names, machine-id, SSH host key, and who may log in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.places import HostPlace
from tests.testbed.programs import run

USER = "lab-admin"
_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
# With systemd-resolved, /etc/resolv.conf names a server on loopback, which no host reaches; this one has the real ones.
_RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


def make_key(private_key: Path, comment: str) -> str:
    """Make an SSH key pair without a pass phrase (0600); its public line."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", private_key)
    return private_key.with_name(private_key.name + ".pub").read_text(encoding="ascii").strip()


def write(place: HostPlace, name: str, neighbours: Mapping[str, str], login_key: str) -> None:
    """Give a host that has never run its identity. `neighbours`: addresses by name, for /etc/hosts."""
    root = place.root
    others = "".join(f"{address} {other}\n" for other, address in neighbours.items())
    _put(root / "etc/hostname", f"{name}\n")
    _put(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n{others}{place.room.control} control\n")
    _put(root / "etc/machine-id", f"{uuid.uuid4().hex}\n", mode=0o444)
    resolvers = next((path for path in _RESOLVERS if path.exists()), None)
    _put(root / "etc/resolv.conf", resolvers.read_text(encoding="utf-8") if resolvers else "")
    make_key(root / _HOST_KEY, f"root@{name}")
    account = (root / "home" / USER).stat()
    ssh = root / "home" / USER / ".ssh"
    ssh.mkdir(mode=0o700)
    _put(ssh / "authorized_keys", f"{login_key}\n", mode=0o600)
    for path in (ssh, ssh / "authorized_keys"):
        os.chown(path, account.st_uid, account.st_gid)


def host_key(place: HostPlace) -> str:
    """The host's public SSH key (type and key), read on its own disk."""
    return " ".join((place.root / f"{_HOST_KEY}.pub").read_text(encoding="ascii").split()[:2])


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file anew: what stood there may be a link."""
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
