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


# dpkg is killed while a package's own script runs: its journal stays unmerged and the package half-configured, as
# after a power cut during an update. apt then refuses to do anything before `dpkg --configure -a`.
_INTERRUPT = """
touch /run/lab-demo-slow
setsid sh -c 'apt-get install --yes lab-demo-slow >/run/lab-interrupted.log 2>&1' &
apt=$!
n=0
until [ -e /run/lab-demo-slow.configuring ]; do
  n=$((n + 1))
  [ "$n" -lt 600 ] || { cat /run/lab-interrupted.log; exit 1; }
  sleep 0.05
done
kill -KILL -- "-$apt" || true
pkill -KILL -x dpkg || true
rm -f /run/lab-demo-slow /run/lab-demo-slow.configuring
"""
_HOLD_LOCK = """
import fcntl, time
for name in "lock-frontend", "lock":
    handle = open("/var/lib/dpkg/" + name, "w")
    fcntl.lockf(handle, fcntl.LOCK_EX)
    globals()[name] = handle
time.sleep(86400)
"""

FAULTS: Mapping[str, Fault] = {
    "ssh": Fault(
        "sshd is stopped", "systemctl stop ssh.socket ssh.service || systemctl stop ssh", "systemctl start ssh"
    ),
    "disk-full": disk_full(0),
    "dpkg-interrupted": Fault("an update was cut off in the middle", _INTERRUPT, "dpkg --configure -a"),
    "apt-busy": Fault(
        "something else holds dpkg's lock",
        "systemctl is-active --quiet lab-apt-busy || {\n"
        f"  systemd-run --quiet --unit=lab-apt-busy python3 -c '{_HOLD_LOCK}'\n"
        '  until grep -q "$(stat --format=:%i /var/lib/dpkg/lock) " /proc/locks; do sleep 0.05; done\n'
        "}",
        "systemctl stop lab-apt-busy",
    ),
    "user-logged-in": Fault(
        "a student sits at the PC",
        "systemctl is-active --quiet lab-student || {\n"
        '  systemd-run --quiet --unit=lab-student python3 -c \'import pty; pty.spawn(["login", "-f", "student"])\'\n'
        "  until who | grep -q ^student; do sleep 0.05; done\n"
        "}",
        "systemctl stop lab-student",
    ),
}
