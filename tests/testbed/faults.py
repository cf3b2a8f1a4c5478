"""What can be broken inside a host as it happens on real PCs, and its mending: shell text that root runs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BALLAST = "/var/lab-ballast"


@dataclass(frozen=True, slots=True)
class Fault:
    """`says` what is wrong afterwards; `cause` and `mend` are shell text. Causing it twice is the same as once."""

    says: str
    cause: str
    mend: str


def disk_full(leave_bytes: int) -> Fault:
    """Files have taken up the disk but for `leave_bytes`."""
    fill = f"""
rm -f {BALLAST}
free=$(df --output=avail --block-size=1 / | tail -n 1)
[ "$free" -le {leave_bytes} ] || fallocate --length $((free - {leave_bytes})) {BALLAST}
"""
    return Fault(f"the disk has {leave_bytes} bytes left", fill, f"rm -f {BALLAST}")


# Killed while a package's own script runs: dpkg's journal stays unmerged and the package half-configured, as after a
# power cut during an update. apt then refuses to do anything before `dpkg --configure -a`.
_INTERRUPT = """
touch /run/lab-demo-slow
systemd-run --quiet --unit=lab-interrupted --setenv=DEBIAN_FRONTEND=noninteractive \\
  apt-get install --yes --reinstall lab-demo-slow
until [ -e /run/lab-demo-slow.configuring ]; do
  systemctl is-active --quiet lab-interrupted || { journalctl --unit=lab-interrupted >&2; exit 1; }
  sleep 0.05
done
systemctl kill --signal=KILL lab-interrupted
while systemctl is-active --quiet lab-interrupted; do sleep 0.05; done
systemctl reset-failed lab-interrupted
rm /run/lab-demo-slow /run/lab-demo-slow.configuring
"""
_UNINTERRUPT = "dpkg --configure -a && dpkg --purge lab-demo-slow"
_HOLD_LOCK = """
import fcntl, time
for name in "lock-frontend", "lock":
    handle = open("/var/lib/dpkg/" + name, "w")
    fcntl.lockf(handle, fcntl.LOCK_EX)
    globals()[name] = handle
time.sleep(86400)
"""
_LOCK_HELD = 'grep -q "$(stat --format=:%i /var/lib/dpkg/lock) " /proc/locks'
_LOGIN = """
import pty
pty.spawn(["login", "-f", "student"])
"""


def _process(says: str, unit: str, program: str, ready: str) -> Fault:
    """Something that goes on in the host, as a unit of its own, and is in effect once `ready` (shell text) holds."""
    cause = f"""
systemctl is-active --quiet {unit} || systemd-run --quiet --collect --unit={unit} python3 -c '{program}'
until {ready}; do systemctl is-active --quiet {unit}; sleep 0.05; done
"""
    return Fault(says, cause, f"! systemctl is-active --quiet {unit} || systemctl stop {unit}")


# In the order in which they can be mended: dpkg can go on only with space to write to and its lock free.
FAULTS: Mapping[str, Fault] = {
    "ssh": Fault("sshd is stopped", "systemctl stop ssh", "systemctl start ssh"),
    "disk-full": disk_full(0),
    "apt-busy": _process("something else holds dpkg's lock", "lab-apt-busy", _HOLD_LOCK, _LOCK_HELD),
    "dpkg-interrupted": Fault("an update was cut off in the middle", _INTERRUPT, _UNINTERRUPT),
    "user-logged-in": _process("a student sits at the PC", "lab-student", _LOGIN, "who | grep -q ^student"),
}
