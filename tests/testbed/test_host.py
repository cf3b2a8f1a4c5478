"""What can be done to a host, and that it is as real as it says."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest

from tests.testbed.errors import RoomError
from tests.testbed.host import TestHost
from tests.testbed.room import TestRoom

pytestmark = pytest.mark.hosts


def greets(host: TestHost) -> bool:
    """Whether anything answers at the SSH port."""
    try:
        with socket.create_connection((host.address, 22), timeout=1.0) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_off_is_silence_and_on_finds_the_disk_as_it_was(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[0]
    host.run("echo written >/srv/kept")
    host.off()
    assert not host.is_on
    # No answer at all, as from a PC without power: not even a refusal.
    with pytest.raises(TimeoutError), socket.create_connection((host.address, 22), timeout=1.0):
        pass
    with pytest.raises(RoomError, match="is off"):
        host.run("true")
    assert (host.root / "srv/kept").read_text(encoding="ascii") == "written\n"
    host.off()
    host.on()
    assert host.run("cat /srv/kept").stdout == "written\n"
    host.on()


def test_a_reboot_from_inside_comes_back(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[0]
    host.run("touch /run/gone /srv/stays")
    host.reboot()
    assert host.run("ls /run/gone /srv/stays", check=False).stdout == "/srv/stays\n"


def test_poweroff_from_inside_is_off(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[0]
    host.run("systemctl poweroff", check=False)
    limit = time.monotonic() + 30
    while host.is_on and time.monotonic() < limit:
        with suppress(RoomError):
            host.run("true", check=False)
    assert not host.is_on
    host.on()


def test_sshd_stopped_and_cable_pulled(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[1]
    host.ssh_off()
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host.address, 22), timeout=1.0):
        pass
    host.ssh_on()
    host.unplug()
    assert not greets(host)
    assert host.run("echo runs on").stdout == "runs on\n"
    host.plug_in()
    host.wait_for_ssh()


def test_a_full_disk_takes_nothing_more(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[2]
    host.fill_disk(leave_bytes=64 * 1024)
    assert int(host.run("df --output=avail --block-size=1 / | tail -n 1").stdout) == 64 * 1024
    failed = host.run("dd if=/dev/zero of=/var/more bs=4096 count=64", check=False)
    assert failed.returncode and "No space left on device" in failed.stderr
    host.run("rm /var/more")
    host.fill_disk()
    assert host.run("echo x >/var/more", check=False).returncode
    host.free_disk()
    host.run("rm -f /var/more")


def test_an_interrupted_update_stops_apt_until_repaired(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[2]
    host.interrupt_dpkg()
    refused = host.run("apt-get --yes install lab-demo-kernel", check=False)
    assert "dpkg was interrupted" in refused.stderr
    assert "half configured" in host.run("dpkg --audit").stdout
    host.mend_all()
    assert host.run("dpkg --audit").stdout == ""


def test_apt_busy_and_student_logged_in_are_seen_and_end(four_pcs: TestRoom) -> None:
    host = four_pcs.hosts[3]
    host.break_("apt-busy")
    host.break_("user-logged-in")
    host.break_("user-logged-in")
    assert "Could not get lock" in host.run("apt-get --yes install lab-demo-kernel", check=False).stderr
    assert host.run("who").stdout.startswith("student")
    assert "student" in host.run("loginctl list-sessions --no-legend").stdout
    host.mend_all()
    assert host.run("who").stdout == ""
    host.run("apt-get check")


def test_hosts_reach_each_other_and_this_machine_by_name(four_pcs: TestRoom) -> None:
    assert four_pcs.hosts[0].run("ping -c 1 -W 2 pc04 && ping -c 1 -W 2 control").returncode == 0


@pytest.mark.parametrize(
    ("package", "update", "says"),
    [
        (
            "lab-demo-kernel",
            "apt-get --yes install lab-demo-kernel && cat /run/reboot-required.pkgs",
            "lab-demo-kernel",
        ),
        ("lab-demo-broken", "apt-get --yes install lab-demo-broken 2>&1 || dpkg --audit", "half configured"),
        ("lab-demo-suite", "apt-get --yes upgrade --simulate", "kept back"),
        ("lab-demo-suite", "apt-get --yes dist-upgrade --simulate", "lab-demo-suite-extra"),
        (
            "lab-demo-big",
            "apt-get --simulate -V install lab-demo-big && apt-cache show lab-demo-big",
            "Installed-Size: 1073741824",
        ),
        (
            "lab-demo-service",
            "apt-get --yes install lab-demo-service >/dev/null && needrestart -b -r l",
            "lab-demo-service.service",
        ),
    ],
)
def test_an_update_on_offer_does_what_it_is_for(four_pcs: TestRoom, package: str, update: str, says: str) -> None:
    host = four_pcs.hosts[3]
    host.offer(package)
    assert f"{package}/" in host.run("apt list --upgradable 2>/dev/null").stdout
    assert says in host.run(update).stdout
    host.run("touch /etc/lab-demo-broken.mended && dpkg --configure -a && rm /etc/lab-demo-broken.mended")
    host.run(f"apt-get --yes purge --autoremove {package}")
