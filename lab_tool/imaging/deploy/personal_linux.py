"""Makes a Linux that was written to a partition that of this PC: name, address, identity, keys, who may log in."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.deploy.volumes import tool
from lab_tool.imaging.format.order import Order, Personal
from lab_tool.process import run

# What tells one PC from another and was the other's, when the image was made from a PC.
_OTHERS = (
    "etc/ssh/ssh_host_*",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp/*.lease*",
    "var/lib/NetworkManager/*.lease*",
)
_MACHINE = re.compile(rb"[0-9a-f]{32}\n?")
# Bytes of a host key.
_LONGEST = 64 * 1024
_DATA_FOLDER = "/srv/data"
_OURS = ("/", "/boot/efi", _DATA_FOLDER, "none", "swap")


class Root:
    """The mounted root. Files are written inside it, whatever links in it point to."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def place(self, name: str) -> Path:
        """Where the file lies; its folders are made. Raises `DeployError` when that is outside of the root."""
        place = self.path / name
        folder = place.parent.resolve()
        if not folder.is_relative_to(self.path):
            raise DeployError(f"/{name} of the image leads out of it", advice="Build the image again")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / place.name

    def put(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file anew, in the place of whatever was there."""
        place = self.place(name)
        place.unlink(missing_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return place

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link anew."""
        place = self.place(name)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def text(self, name: str) -> str:
        """A file's text; empty when there is none in here."""
        place = (self.path / name).resolve()
        return place.read_text("utf-8", "replace") if place.is_relative_to(self.path) and place.is_file() else ""

    def has(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return (self.path / name).exists()


def personalise(
    path: Path,
    order: Order,
    identity: Mapping[str, object],
    mounts: Sequence[str],
    kept: Mapping[str, bytes] | None = None,
) -> tuple[str, ...]:
    """Make the root at `path` this PC's; the public lines of its SSH host keys. Raises `DeployError`.

    `mounts` are lines for fstab. `kept` are files of `/etc` that stay as they were, when a PC heals itself.
    """
    root, personal = Root(path), order.personal
    for pattern in _OTHERS:
        for old in root.path.glob(pattern):
            old.unlink()
    root.put("etc/hostname", personal.hostname + "\n")
    root.put("etc/hosts", _hosts(personal))
    root.put("etc/machine-id", uuid.uuid4().hex + "\n", 0o444)
    _network(root, order.mac, personal)
    _time_zone(root, personal.time_zone)
    _fstab(root, mounts)
    _account(root, personal)
    for name, content in (kept or {}).items():
        root.put(name, content.decode("utf-8"), 0o444 if name == "etc/machine-id" else 0o600)
    lines = _host_keys(root)
    root.put("etc/lab/image.json", json.dumps(identity, sort_keys=True, indent=1) + "\n")
    return lines


def identity_files(path: Path) -> dict[str, bytes]:
    """What makes a PC recognisable over the network: to be kept when it heals itself. What is damaged is left out."""
    found = {}
    for key in (*path.glob("etc/ssh/ssh_host_*_key"), path / "etc/machine-id"):
        if (
            not key.is_file()
            or key.resolve() != path.resolve() / key.relative_to(path)
            or key.stat().st_size > _LONGEST
        ):
            continue
        content = key.read_bytes()
        if _MACHINE.fullmatch(content) if key.name == "machine-id" else _is_key(content):
            found[str(key.relative_to(path))] = content
    return found


def _is_key(content: bytes) -> bool:
    """Whether `_host_keys` will be able to use it."""
    with tempfile.TemporaryDirectory(prefix="lab-key-") as folder:
        copy = Path(folder, "key")
        copy.write_bytes(content)
        copy.chmod(0o600)
        return run(["ssh-keygen", "-y", "-P", "", "-f", str(copy)]).code == 0


def check(path: Path, order: Order, identity: Mapping[str, object], host_keys: Sequence[str]) -> None:
    """Raise `DeployError` unless all that is there, read from a root that was mounted anew."""
    root = Root(path)
    lines = {" ".join(file.read_text("utf-8").split()[:2]) for file in root.path.glob("etc/ssh/ssh_host_*_key.pub")}
    stated = json.loads(root.text("etc/lab/image.json") or "{}")
    address = f"{order.personal.address}/{order.personal.prefix}"
    if (
        root.text("etc/hostname").strip() != order.personal.hostname
        or lines != set(host_keys)
        or stated != json.loads(json.dumps(identity))
        or address not in root.text(_NETWORKD) + root.text(_IFUPDOWN)
    ):
        raise DeployError("name, address or keys of this PC did not stay on its disk", advice="Image the PC again")


def _hosts(personal: Personal) -> str:
    own = f"127.0.1.1\t{personal.hostname}\n"
    return f"127.0.0.1\tlocalhost\n{own}::1\tlocalhost ip6-localhost ip6-loopback\n"


_NETWORKD = "etc/systemd/network/05-lab.network"
_IFUPDOWN = "etc/network/interfaces"


def _network(root: Root, mac: str, personal: Personal) -> None:
    address = f"{personal.address}/{personal.prefix}"
    if any(root.has(f"{folder}/systemd/systemd-networkd") for folder in ("lib", "usr/lib")):
        lines = ["[Match]", f"MACAddress={mac}", "", "[Network]", f"Address={address}"]
        lines += [f"Gateway={personal.gateway}"] if personal.gateway else []
        lines += [f"DNS={server}" for server in personal.dns]
        root.put(_NETWORKD, "\n".join(lines) + "\n")
        service = "/lib/systemd/system/systemd-networkd.service"
        root.link("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", service)
        if root.has(_IFUPDOWN):
            root.put(_IFUPDOWN, "auto lo\niface lo inet loopback\n")
    else:
        # By the address of the card, whose name may differ from one kernel to the next.
        lines = ["auto lo", "iface lo inet loopback", "", f"auto mac/{mac}=lab", "iface lab inet static"]
        lines += [f"    address {address}"]
        lines += [f"    gateway {personal.gateway}"] if personal.gateway else []
        root.put(_IFUPDOWN, "\n".join(lines) + "\n")
    if root.has("etc/NetworkManager"):
        root.put("etc/NetworkManager/conf.d/05-lab.conf", f"[keyfile]\nunmanaged-devices=mac:{mac}\n")
    if personal.dns and not (_is_resolved(root)):
        root.put("etc/resolv.conf", "".join(f"nameserver {server}\n" for server in personal.dns))


def _is_resolved(root: Root) -> bool:
    place = root.path / "etc/resolv.conf"
    there = any(root.has(f"{folder}/systemd/systemd-resolved") for folder in ("lib", "usr/lib"))
    return there and place.is_symlink() and "systemd/resolve" in str(place.readlink())


def _time_zone(root: Root, zone: str) -> None:
    if zone and ".." not in zone and root.has(f"usr/share/zoneinfo/{zone}"):
        root.link("etc/localtime", f"/usr/share/zoneinfo/{zone}")
        root.put("etc/timezone", zone + "\n")


def _fstab(root: Root, mounts: Sequence[str]) -> None:
    """Ours, then what the image mounts besides."""
    others = [line for line in root.text("etc/fstab").splitlines() if (_target(line) or "none") not in _OURS]
    root.put("etc/fstab", "\n".join([*mounts, *others]) + "\n")
    if any(_target(line) == _DATA_FOLDER for line in mounts):
        (root.place(_DATA_FOLDER[1:])).mkdir(exist_ok=True)


def _target(line: str) -> str:
    words = line.split()
    return "" if len(words) < 3 or line.lstrip().startswith("#") or words[2] == "swap" else words[1]


def _account(root: Root, personal: Personal) -> None:
    """The account that Ansible uses: keys only, and root's rights."""
    name = personal.account
    if _passwd(root, name) is None:
        made = ["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", name]
        tool(["chroot", str(root.path), *made], f"the account {name} can't be made")
    entry = _passwd(root, name)
    if entry is None:
        raise DeployError(f"the account {name} was made and is not there", advice="Build the image again")
    owner, group, home = int(entry[2]), int(entry[3]), entry[5].lstrip("/")
    keys = root.put(f"{home}/.ssh/authorized_keys", "".join(f"{key}\n" for key in personal.keys), 0o600)
    for path, mode in ((keys.parent, 0o700), (keys, 0o600)):
        path.chmod(mode)
        shutil.chown(path, owner, group)
    if name != "root" and root.has("etc/sudoers.d"):
        root.put("etc/sudoers.d/90-lab", f"{name} ALL=(ALL) NOPASSWD:ALL\n", 0o440)


def _passwd(root: Root, name: str) -> list[str] | None:
    entries = (line.split(":") for line in root.text("etc/passwd").splitlines())
    return next((entry for entry in entries if entry[0] == name and len(entry) == 7), None)


def _host_keys(root: Root) -> tuple[str, ...]:
    """Made here, where nobody else sees them; what is there already stays."""
    root.place("etc/ssh/x")
    tool(["ssh-keygen", "-A", "-f", str(root.path)], "no SSH host keys can be made")
    lines = []
    for secret in sorted(root.path.glob("etc/ssh/ssh_host_*_key")):
        line = tool(["ssh-keygen", "-y", "-f", str(secret)], "an SSH host key can't be read")
        lines.append(" ".join(line.split()[:2]))
        root.put(f"etc/ssh/{secret.name}.pub", lines[-1] + "\n")
    return tuple(lines)
