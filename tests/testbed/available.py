"""Can this machine build hosts?"""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path

from tests.testbed import cgroups
from tests.testbed.errors import RoomError
from tests.testbed.programs import run

# Program: the Debian package it comes in (the same list as packages.txt, which is installed).
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
}


@cache
def reason_not_available() -> str:
    """Empty when hosts can be built here; otherwise one sentence that says why not."""
    if sys.platform != "linux":
        return f"Hosts are Linux containers, and this is {sys.platform}."
    if os.geteuid() != 0:
        return "Building hosts needs root."
    missing = sorted(package for program, package in NEEDED.items() if shutil.which(program) is None)
    if missing:
        return f"Missing packages: {' '.join(missing)}. Run: apt-get install {' '.join(missing)}"
    if shutil.which("apt-config") is None:
        return "The hosts' system is made by apt, so this needs Debian or Ubuntu."
    if cgroups.unified() is None:
        return "There is no cgroup2 file system at /sys/fs/cgroup."
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii") and not _works("modprobe", "overlay"):
        return "This kernel has no overlay file system."
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        return "This root may not change settings in /proc/sys (a container?)."
    if not _works("unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/tmp"):
        return "This root may not make namespaces and mounts (a container without privileges?)."
    return ""


def _works(*argv: str) -> bool:
    try:
        return run(*argv, check=False).returncode == 0
    except RoomError:
        return False
