"""Power: start a host's systemd, end it at once, and find its first process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.testbed import cgroups
from tests.testbed.errors import RoomError
from tests.testbed.places import NETNS, HostPlace
from tests.testbed.programs import run

# Arguments: console file, machine's group files of the keeper (space-separated), those of the host, then nspawn's own.
# The keeper lives as long as the host is on. nspawn ends with 133 when the host reboots itself.
# nspawn has a /tmp and a /run/systemd/nspawn that end with it: killed, it would leave folders behind.
_KEEPER = """
exec >>"$1" 2>&1 </dev/null
set -e
for file in $2; do echo 0 >"$file"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0
files=$3
shift 3
while :; do
  code=0
  (for file in $files; do echo 0 >"$file"; done; exec systemd-nspawn "$@") || code=$?
  [ "$code" -eq 133 ] || exit "$code"
done
"""


def start(place: HostPlace, name: str, console: Path) -> None:
    """Switch a host on; it boots on its own from here. What it says goes to the end of `console`."""
    keeper, inside = (
        " ".join(str(folder / "cgroup.procs") for folder in cgroups.create(f"{place.cgroup}/{part}"))
        for part in ("keeper", "pc")
    )
    Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
    nspawn = (
        "--quiet",
        "--boot",
        f"--directory={place.root}",
        f"--machine={place.netns}",
        f"--hostname={name}",
        f"--network-namespace-path={NETNS / place.netns}",
        "--capability=CAP_NET_ADMIN",
        # No systemd of this machine is asked for anything: there may be none. The group made above takes its place.
        "--register=no",
        "--keep-unit",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
    )
    # From inside the network namespace: the /sys that nspawn mounts shows the devices of where nspawn itself is.
    private = (
        "setsid",
        "--fork",
        "nsenter",
        f"--net={NETNS / place.netns}",
        "unshare",
        "--mount",
        "--propagation",
        "slave",
    )
    run(*private, "sh", "-c", _KEEPER, "keeper", console.resolve(), keeper, inside, *nspawn)


def stop(place: HostPlace) -> None:
    """Switch a host off as pulling the plug does: nothing in it gets a chance to do anything."""
    cgroups.end(place.cgroup)


def leader(place: HostPlace) -> int:
    """The process that is PID 1 in a host; raises `RoomError` when the host is off."""
    for pid in cgroups.members(f"{place.cgroup}/pc"):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
            if len(numbers) == 2 and numbers[-1] == "1":
                return pid
    raise RoomError(f"{place.netns} is off")


def is_on(place: HostPlace) -> bool:
    """Whether a host has power."""
    return any(True for _ in cgroups.members(place.cgroup))


def wait_for_ssh(places: Iterable[HostPlace], patience: float) -> list[HostPlace]:
    """Wait until every host greets as an SSH server; those that had not after `patience` seconds."""
    limit = time.monotonic() + patience
    waiting = list(places)
    while waiting and time.monotonic() < limit:
        waiting = [place for place in waiting if not _greets(place)]
        time.sleep(0.05)
    return waiting


def _greets(place: HostPlace) -> bool:
    with suppress(OSError), socket.create_connection((str(place.address), 22), timeout=0.5) as connection:
        return connection.recv(4) == b"SSH-"
    return False
