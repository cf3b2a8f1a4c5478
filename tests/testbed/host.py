"""A lab PC, and what can be done to it from outside, as somebody standing in front of it could."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.testbed import boot, faults, network
from tests.testbed.errors import RoomError
from tests.testbed.faults import FAULTS, Fault
from tests.testbed.places import HostPlace
from tests.testbed.programs import run

# What a host can suffer from outside; the rest is in `faults`.
POWER, CABLE = "off", "no-network"
BREAKABLE = (POWER, CABLE, *FAULTS)

# Also true when some unit failed: that may be what a test is about.
_BOOTED = 'case "$(systemctl is-system-running)" in running | degraded) ;; *) exit 1 ;; esac'


@dataclass(frozen=True, slots=True)
class TestHost:
    """One PC. It holds no handle on anything running, so that any process may make one for a host that is there."""

    __test__: ClassVar[bool] = False

    name: str
    seat: int
    address: str
    mac: str
    place: HostPlace
    console: Path

    @property
    def root(self) -> Path:
        """Its root directory seen from outside, also while it is off."""
        return self.place.root

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return boot.is_on(self.place)

    def run(self, text: str, check: bool = True, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run shell text as root in the host, not over SSH: it works with network and sshd broken.

        Raises `RoomError` when it fails (if `check`), when the host is off, or after `timeout` seconds.
        """
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        inside = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        # nsenter must not wait itself: when its child is stopped, as all are when a host shuts down, it stops for good.
        wait = ("--no-fork", "--", "setsid", "--fork", "--wait")
        enter = ("nsenter", "--target", str(boot.leader(self.place)), *inside, *wait, "/bin/sh", "-ec", text)
        return run(*enter, check=check, timeout=timeout, env={**env, "DEBIAN_FRONTEND": "noninteractive"})

    def off(self) -> None:
        """Pull the plug: every process is gone at once, the address answers nothing, the disk stays as it is."""
        network.plug(self.place, connected=False)
        boot.stop(self.place)

    def on(self, wait: float = 60.0) -> None:
        """Switch on and wait (seconds; 0: don't) until SSH answers."""
        network.plug(self.place, connected=True)
        if not self.is_on:
            boot.start(self.place, self.name, self.console)
        if wait:
            self.wait_for_ssh(wait)

    def reboot(self, patience: float = 60.0) -> None:
        """Let the host reboot itself in order, and wait for SSH; raises `RoomError` after `patience` seconds."""
        before = boot.leader(self.place)
        self.run("systemctl reboot", check=False)
        limit = time.monotonic() + patience
        while self._first_process() in (None, before):
            if time.monotonic() > limit:
                raise RoomError(f"{self.name}: not rebooted after {patience:g} s; see {self.console}")
            time.sleep(0.05)
        self.wait_for_boot()
        self.wait_for_ssh(patience)

    def _first_process(self) -> int | None:
        try:
            return boot.leader(self.place)
        except RoomError:
            return None

    def wait_for_boot(self, patience: float = 60.0) -> None:
        """Wait until systemd has started what it had to; raises `RoomError` after `patience` seconds."""
        limit = time.monotonic() + patience
        while not self._booted():
            if time.monotonic() > limit:
                raise RoomError(f"{self.name}: not booted after {patience:g} s; see {self.console}")
            time.sleep(0.1)

    def _booted(self) -> bool:
        try:
            return self.run(_BOOTED, check=False).returncode == 0
        except RoomError:
            # Off, or between two systems.
            return False

    def wait_for_ssh(self, patience: float = 60.0) -> None:
        """Wait until SSH answers; raises `RoomError` after `patience` seconds."""
        if boot.wait_for_ssh([self.place], patience):
            raise RoomError(f"{self.name}: no SSH after {patience:g} s; see {self.console}")

    def ssh_off(self) -> None:
        """Stop sshd; the PC runs on."""
        self.cause(FAULTS["ssh"])

    def ssh_on(self) -> None:
        """Start sshd."""
        self.mend(FAULTS["ssh"])
        self.wait_for_ssh()

    def unplug(self) -> None:
        """Pull the network cable; the PC runs on."""
        network.plug(self.place, connected=False)

    def plug_in(self) -> None:
        """Put the network cable in."""
        network.plug(self.place, connected=True)

    def fill_disk(self, leave_bytes: int = 0) -> None:
        """Fill the disk but for `leave_bytes` (the free space is rounded down to pages of 4 KiB)."""
        self.cause(faults.disk_full(leave_bytes))

    def free_disk(self) -> None:
        """Delete what `fill_disk` wrote."""
        self.mend(faults.disk_full(0))

    def interrupt_dpkg(self) -> None:
        """Leave an update cut off in the middle, as after a power cut."""
        self.cause(FAULTS["dpkg-interrupted"])

    def offer(self, package: str) -> None:
        """Install a demo package's old version, so that its update is pending (see `packages`)."""
        self.run(f"apt-get install --yes --allow-downgrades {package}=1.0")

    def use_mirror(self) -> None:
        """Let apt use this machine's own sources too, through the room's way out."""
        self.run("mv /etc/apt/machine.sources.d/* /etc/apt/sources.list.d/ && apt-get update", timeout=600)

    def use_stock(self) -> None:
        """Let apt install from the stock of real packages that lies on the host (see `stock`)."""
        self.run("mv /etc/apt/stock.sources.d/* /etc/apt/sources.list.d/ && apt-get update")

    def cause(self, fault: Fault) -> None:
        """Break something inside."""
        self.run(fault.cause)

    def mend(self, fault: Fault) -> None:
        """Mend it."""
        self.run(fault.mend)

    def break_(self, what: str) -> None:
        """Break it by name, one of `BREAKABLE`."""
        if what == POWER:
            self.off()
        elif what == CABLE:
            self.unplug()
        else:
            self.cause(_known(what))

    def mend_all(self) -> None:
        """Power, cable, and every fault: mend what is broken."""
        self.on(wait=0)
        self.wait_for_boot()
        for fault in FAULTS.values():
            self.mend(fault)
        self.wait_for_ssh()


def _known(what: str) -> Fault:
    if what not in FAULTS:
        raise RoomError(f"a host can't be broken by {what!r}, only by {', '.join(BREAKABLE)}")
    return FAULTS[what]
