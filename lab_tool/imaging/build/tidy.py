"""Makes a root file system nobody's in particular: no identity, no secret, no trace of when and where it was made."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from lab_tool.errors import RefusedError

# Each PC makes its own. Globs below the root.
SECRETS = (
    "etc/ssh/ssh_host_*",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/NetworkManager/system-connections/*",
    "etc/wireguard/*.conf",
    "etc/lab/image.json",
    "etc/lab-backup/*",
    "root/.ssh/*",
    "home/*/.ssh/id_*",
    "var/lib/NetworkManager/secret_key",
    "var/lib/dbus/machine-id",
    "var/lib/lab-backup/*",
    "var/lib/dhcp/*.leases",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
)
# What differs from one making to the next and that nobody misses.
TRACES = (
    "etc/*-",
    "etc/.pwd.lock",
    "root/.ansible",
    "root/.bash_history",
    "run/*",
    "tmp/*",
    "tmp/.[!.]*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/cache/man/*",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/log/journal/*",
    "var/tmp/*",
)
_MIGHTY = ("sudo", "wheel", "adm")
_PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_LOOKED_THROUGH = ("etc", "home", "root", "srv", "opt", "var/lib", "usr/local")
_LARGEST_KEY = 64 * 1024


def clean(root: Path) -> None:
    """Take away who it is, what it keeps secret and what it remembers. Nothing outside `root` is touched."""
    for pattern in (*SECRETS, *TRACES):
        for path in sorted(root.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for path in _files(root / "var/log"):
        path.unlink()
    _lock_administrators(root)
    write(root / "etc/machine-id", "")
    write(root / "etc/hostname", "lab\n")
    resolver = root / "etc/resolv.conf"
    if not resolver.is_symlink():
        write(resolver, "")


def _lock_administrators(root: Path) -> None:
    """Take away the passwords of those who may do everything: each PC has its own, or none."""
    shadow, group = root / "etc/shadow", root / "etc/group"
    if not shadow.is_file():
        return
    groups = [line.split(":") for line in group.read_text(encoding="utf-8").splitlines()] if group.is_file() else []
    members = {name for parts in groups if parts[0] in _MIGHTY for name in parts[-1].split(",")}
    lines = []
    for line in shadow.read_text(encoding="utf-8").splitlines():
        account, _, rest = line.partition(":")
        password, colon, ages = rest.partition(":")
        known = password if account not in {"root", *members} or password[:1] in ("", "!", "*") else "*"
        lines.append(f"{account}:{known}{colon}{ages}\n")
    # The file keeps its owner and its mode.
    shadow.write_text("".join(lines), encoding="utf-8")


def require_no_secret(root: Path) -> None:
    """Refuse a tree in which a private key is left: every PC would have the same one. Raises `RefusedError`."""
    for folder in _LOOKED_THROUGH:
        for path in _files(root / folder):
            if path.stat().st_size <= _LARGEST_KEY and _PRIVATE.search(path.read_bytes()):
                where = f"/{path.relative_to(root)}"
                raise RefusedError("a private key, which every PC of this image would have", where=where)


def settle(root: Path, begun: float) -> int:
    """Give everything that came about since `begun` the newest date that a package brought along, and say which.

    Two trees of the same packages then have the same dates, whenever they were made.
    """
    limit = int(begun) * 10**9
    dates = {path: path.lstat().st_mtime_ns for path in (root, *_everything(root))}
    newest = max((date for date in dates.values() if date < limit), default=limit)
    for path, date in dates.items():
        mine = newest if date >= limit else date
        os.utime(path, ns=(mine, mine), follow_symlinks=False)
    return newest // 10**9


def write(path: Path, text: str) -> None:
    """A file of root's that everybody may read, in place of whatever is there, be it a link that leads elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder that is one itself; no link is followed."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in _everything(folder):
        if stat.S_ISREG(path.lstat().st_mode):
            yield path


def _everything(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(here, name)
