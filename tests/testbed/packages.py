"""The demo packages: what every host has to update, whatever the real mirror offers today.

Hosts carry a small apt repository in `/srv/lab-packages` with four suites, named and labelled as the distribution's own
(`bookworm` stands for its code name), so that what tells a security update from another on a real PC does so here:

| suite               | Origin     | Label            | holds                                        |
| ------------------- | ---------- | ---------------- | -------------------------------------------- |
| `bookworm`          | Debian     | Debian           | version 1.0 of everything                    |
| `bookworm-security` | Debian     | Debian-Security  | 1.1 of what `Suite.SECURITY` says            |
| `bookworm-updates`  | Debian     | Debian           | 1.1 of what `Suite.UPDATES` says             |
| `vendor`            | Lab Vendor | Lab Vendor       | 1.1 of what comes from elsewhere             |

A new host has 1.0 of the `installed` ones. Any other is put there, with its update pending, by `host.offer(name)`.
The real mirror's sources lie aside in `/etc/apt/machine.sources.d` until `host.use_mirror()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OLD, NEW = "1.0", "1.1"
REPOSITORY = "/srv/lab-packages"


class Suite(StrEnum):
    """Where a package's new version stands."""

    SECURITY = "security"
    UPDATES = "updates"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class DemoPackage:
    """A package in versions 1.0 and 1.1.

    `postinst` maps a version to shell text run at its configuration ("" = nothing); `files` maps a path (without the
    leading slash) to its text, in which `{version}` stands for the version; `fields` are further control fields of
    1.1.
    """

    name: str
    suite: Suite
    summary: str
    installed: bool = False
    held: bool = False
    postinst: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


_REBOOT = """
echo "*** System restart required ***" >/run/reboot-required
echo lab-demo-kernel >>/run/reboot-required.pkgs
"""
_BROKEN = """
[ -e /etc/lab-demo-broken.mended ] || { echo "lab-demo-broken: this PC can't have 1.1" >&2; exit 1; }
"""
# Slow only while the flag is there: it is how an update is caught in the middle.
_SLOW = """
if [ -e /run/lab-demo-slow ]; then touch /run/lab-demo-slow.configuring; sleep 60 || true; fi
"""
# The program is put in place anew by every version: what runs is then a file that is no longer there, which is how
# needrestart tells. A copy of sleep(1) makes do for one.
_SERVICE = """
cp /bin/sleep /usr/lib/lab-demo-service/serve.new
mv /usr/lib/lab-demo-service/serve.new /usr/lib/lab-demo-service/serve
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable --quiet --now lab-demo-service.service
fi
"""
_UNIT = """[Unit]
Description=Demo service {version}

[Service]
ExecStart=/usr/lib/lab-demo-service/serve infinity

[Install]
WantedBy=multi-user.target
"""

PACKAGES: tuple[DemoPackage, ...] = (
    DemoPackage(
        "lab-demo-editor",
        Suite.SECURITY,
        "security update; its configuration file changes too, so one edited by hand makes dpkg ask",
        installed=True,
        files={
            "usr/share/lab-demo-editor/version": "{version}\n",
            "etc/lab-demo-editor.conf": "# settings of lab-demo-editor {version}\ncolour = green\n",
        },
        conffiles=("/etc/lab-demo-editor.conf",),
    ),
    DemoPackage("lab-demo-player", Suite.UPDATES, "plain update, not a security one", installed=True),
    DemoPackage(
        "lab-demo-held", Suite.SECURITY, "security update, held back by the administrator", installed=True, held=True
    ),
    DemoPackage("lab-demo-vendor", Suite.VENDOR, "update from a third party's repository", installed=True),
    DemoPackage("lab-demo-kernel", Suite.SECURITY, "wants a reboot once updated", postinst={NEW: _REBOOT}),
    DemoPackage(
        "lab-demo-service",
        Suite.SECURITY,
        "a service that goes on running the old program until somebody restarts it (see needrestart)",
        postinst={OLD: _SERVICE, NEW: _SERVICE},
        files={"lib/systemd/system/lab-demo-service.service": _UNIT, "usr/lib/lab-demo-service/version": "{version}\n"},
    ),
    DemoPackage(
        "lab-demo-suite", Suite.UPDATES, "its update needs a new package", fields={"Depends": "lab-demo-suite-extra"}
    ),
    DemoPackage("lab-demo-suite-extra", Suite.UPDATES, "needed by lab-demo-suite 1.1"),
    DemoPackage(
        "lab-demo-big", Suite.SECURITY, "update that says it needs 1 TiB of disk", fields={"Installed-Size": str(2**30)}
    ),
    DemoPackage("lab-demo-broken", Suite.SECURITY, "its update fails while being configured", postinst={NEW: _BROKEN}),
    DemoPackage("lab-demo-slow", Suite.SECURITY, "can be caught in the middle", postinst={OLD: _SLOW, NEW: _SLOW}),
)

INSTALLED = tuple(package.name for package in PACKAGES if package.installed)
HELD = tuple(package.name for package in PACKAGES if package.held)


def pending(suite: Suite) -> tuple[str, ...]:
    """Names of the packages that a new host has an update for in a suite, the held ones left out."""
    return tuple(
        package.name for package in PACKAGES if package.installed and not package.held and package.suite is suite
    )
