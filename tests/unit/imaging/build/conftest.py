"""Small root file systems, and disks with them: a Linux as far as a builder of images looks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MIB = 1024 * 1024
UUID = "5b1d2c3e-0000-4000-8000-000000000001"
_PROGRAMS = ("mke2fs", "debugfs", "rsync", "partclone.ext4", "sfdisk", "qemu-img", "mkfs.xfs", "mkfs.btrfs", "mkntfs")
builders_only = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, _PROGRAMS)),
    reason="needs root and e2fsprogs, xfsprogs, btrfs-progs, ntfs-3g, partclone, rsync, qemu-utils",
)
MakeTree = Callable[..., Path]


def sh(*argv: str | Path, input: str = "") -> str:
    """Run a program and hold it to success; what it said."""
    done = subprocess.run([os.fspath(word) for word in argv], input=input, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


def noise(seed: int, size: int) -> bytes:
    """Bytes that can't be compressed, the same each time."""
    return random.Random(seed).randbytes(size)


@pytest.fixture
def tree(tmp_path: Path) -> MakeTree:
    """`tree(name)` makes a root file system; `backwards` in another order."""

    def make(name: str = "root", *, backwards: bool = False) -> Path:
        root = tmp_path / name
        files = {
            "boot/vmlinuz-6.1.0-1": noise(1, 3 * MIB),
            "boot/initrd.img-6.1.0-1": noise(2, 2 * MIB),
            "usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
            "usr/sbin/init": b"init",
            "etc/shadow": b"root:$y$secret:19000:0:99999:7:::\nboss:$y$secret:1::::::\nstudent:$y$known:1::::::\n",
            "etc/group": b"sudo:x:27:boss\nstudents:x:1000:\n",
            "etc/hostname": b"a301-07\n",
            "etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
            "etc/ssh/ssh_host_ed25519_key": b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n",
            "etc/ssh/ssh_host_ed25519_key.pub": b"ssh-ed25519 AAAA\n",
            "var/log/dpkg.log": b"2026\n",
            "var/lib/dpkg/status": b"Package: bash\nStatus: install ok installed\nVersion: 5.2\n\n"
            b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
            **{f"usr/share/things/{number:03d}": noise(number, 700 * number) for number in range(1, 200)},
        }
        for path, content in sorted(files.items(), reverse=backwards):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        (root / "vmlinuz").symlink_to("boot/vmlinuz-6.1.0-1")
        (root / "initrd.img").symlink_to("boot/initrd.img-6.1.0-1")
        (root / "sbin").symlink_to("usr/sbin")
        os.link(root / "usr/share/things/001", root / "usr/share/things/one")
        os.setxattr(root / "usr/sbin/init", "user.lab", b"yes")
        # As packages bring it along: long before any builder began.
        for place in root.rglob("*"):
            os.utime(place, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
        return root

    return make


def ext4(root: Path, file: Path, size: int = 64 * MIB) -> Path:
    """A file system as somebody else makes it."""
    file.touch()
    os.truncate(file, size)
    sh("mke2fs", "-q", "-F", "-t", "ext4", "-U", UUID, "-d", root, file)
    return file


def disk(path: Path, label: str, parts: list[tuple[str, Path | None, int]]) -> Path:
    """A whole disk: partitions (type, content, MiB), one after the other from 1 MiB."""
    path.touch()
    os.truncate(path, (2 + sum(size for _, _, size in parts)) * MIB)
    lines, at = [f"label: {label}"], 1
    for kind, content, size in parts:
        lines.append(f"start={at}MiB, size={size}MiB, type={kind}")
        if content:
            sh("dd", f"if={content}", f"of={path}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none")
        at += size
    sh("sfdisk", "-q", path, input="\n".join([*lines, ""]))
    return path
