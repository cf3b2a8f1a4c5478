"""The stock: real packages of this machine's own distribution that hosts can install without a way out.

They are fetched once, when the root file system is built, and lie in `/srv/lab-stock`; `host.use_stock()` lets apt use
them. What a role installs is then the real thing, the same for every test, and needs no mirror.
"""

from __future__ import annotations

STOCK = "/srv/lab-stock"
PACKAGES: tuple[str, ...] = (
    "acl",
    "age",
    "apparmor",
    "apparmor-utils",
    "at",
    "auditd",
    "clamav",
    "clamav-daemon",
    "clamav-freshclam",
    "cron",
    "dconf-cli",
    "debsecan",
    "dnsmasq-base",
    "dosfstools",
    "exfatprogs",
    "fapolicyd",
    "ipxe",
    "libpam-mkhomedir",
    "libpam-pwquality",
    "lynis",
    "mariadb-client",
    "mariadb-server",
    "nginx-light",
    "ntfs-3g",
    "openscap-scanner",
    "openssl",
    "pkexec",
    "polkitd",
    "postgresql",
    "python3-aiohttp",
    "python3-pip",
    "python3-venv",
    "python3-zstandard",
    "rclone",
    "restic",
    "rsync",
    "rsyslog",
    "sqlite3",
    "ssg-debian",
    "systemd-timesyncd",
    "udisks2",
    "unattended-upgrades",
    "usbguard",
    "zstd",
)
LABELS = ("Origin: Debian", "Label: Debian", "Suite: stable", "Date: Thu, 01 Jan 2026 00:00:00 UTC")


def sources() -> str:
    """The stock's sources for apt (deb822)."""
    return f"Types: deb\nURIs: file:{STOCK}\nSuites: ./\nTrusted: yes\n"
