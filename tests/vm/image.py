"""The disk that a virtual PC starts from: Debian with its own kernel, built once and kept in the testbed's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.testbed.programs import run
from tests.testbed.recipe import Recipe, recipe_here

PACKAGES = (
    "clamav",
    "dbus",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "linux-image-amd64",
    "openssh-server",
    "polkitd",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
    "udisks2",
)
# Neither read nor loaded here; without them the disk is half as large.
_LEFT_OUT = (
    *(f"/lib/modules/*/kernel/drivers/{kind}/*" for kind in ("gpu", "iio", "infiniband", "isdn", "media", "staging")),
    "/lib/modules/*/kernel/sound/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)
_DISK_MIB = 1400
# Should the builder be killed, so is everything that it started, and what it mounted goes with it.
_CONTAINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
# QEMU's own network for one guest.
_NETWORK = "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
_INITRAMFS = {
    "modules": "virtio_pci\nvirtio_blk\next4\n",
    "conf.d/lab": "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n",
}
_PREPARE = """set -eu
useradd --create-home --shell /bin/bash student
echo '/dev/vda / ext4 defaults,noatime 0 1' >/etc/fstab
echo vm >/etc/hostname
: >/etc/machine-id
systemctl enable systemd-networkd.service
systemctl mask systemd-networkd-wait-online.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \\
  e2scrub_all.timer fstrim.timer dpkg-db-backup.timer clamav-freshclam.service
"""


def image() -> Path:
    """A folder with `disk.img`, `vmlinuz` and `initrd.img`, built first when there is none of this recipe."""
    cache = Path(os.environ.get("LAB_TESTBED_CACHE") or "/var/cache/lab-testbed").absolute()
    recipe = recipe_here()
    made_of = repr((recipe, PACKAGES, _LEFT_OUT, _DISK_MIB, _NETWORK, _PREPARE, _INITRAMFS))
    result = cache / f"vm-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "vm-lock").open("w") as lock:
        # Two builders at once: the second waits, and finds the first one's work.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            work = Path(tempfile.mkdtemp(prefix="vm-building-", dir=cache))
            try:
                _build(recipe, work)
                (work / "out").rename(result)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    os.utime(result)
    return result


def _build(recipe: Recipe, work: Path) -> None:
    root, out = work / "root", work / "out"
    out.mkdir()
    (work / "apt.conf").write_text(recipe.options, encoding="utf-8")
    (work / "prepare.sh").write_text(_PREPARE, encoding="utf-8")
    (work / "80-lab.network").write_text(_NETWORK, encoding="utf-8")
    for name, text in _INITRAMFS.items():
        (work / Path(name).name).write_text(text, encoding="utf-8")
    run(
        *_CONTAINED,
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        f"--aptopt={work / 'apt.conf'}",
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
        *(
            f"--essential-hook=copy-in {work / Path(name).name} {Path('/etc/initramfs-tools', name).parent}"
            for name in _INITRAMFS
        ),
        f"--customize-hook=copy-in {work / '80-lab.network'} /etc/systemd/network",
        f"--customize-hook=copy-in {work / 'prepare.sh'} /root",
        '--customize-hook=chroot "$1" sh /root/prepare.sh',
        recipe.codename,
        root,
        recipe.sources,
        timeout=1800,
    )
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{name}-*")), out / name)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    run("truncate", f"--size={_DISK_MIB}M", out / "disk.img")
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, out / "disk.img")
