"""A small room, used as its users do."""

from __future__ import annotations

import pytest

from tests.testbed.packages import Suite, pending
from tests.testbed.programs import run
from tests.testbed.room import TestHost, TestRoom

pytestmark = pytest.mark.hosts


def ssh(room: TestRoom, host: TestHost, command: str) -> str:
    """Log in as Ansible does, the host's key known beforehand."""
    options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-F", room.folder / "ssh_config")
    return run("ssh", *options, host.name, command).stdout


def test_ssh_knows_every_host_and_root_is_one_sudo_away(four_pcs: TestRoom) -> None:
    assert [ssh(four_pcs, host, "sudo hostname").strip() for host in four_pcs.hosts] == ["pc01", "pc02", "pc03", "pc04"]


def test_no_two_hosts_share_an_identity(four_pcs: TestRoom) -> None:
    for command in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_*_key.pub", "cat /sys/class/net/eth0/address"):
        assert len({host.run(command).stdout for host in four_pcs.hosts}) == 4, command


def test_updates_are_pending_and_apt_python_sees_where_from(four_pcs: TestRoom) -> None:
    program = "import apt; [print(p.name, p.candidate.origins[0].label) for p in apt.Cache() if p.is_upgradable]"
    listed = dict(line.split(" ", 1) for line in four_pcs.hosts[0].run(f"python3 -c '{program}'").stdout.splitlines())
    assert {name for name, label in listed.items() if label == "Debian-Security"} >= set(pending(Suite.SECURITY))
    assert {name for name, label in listed.items() if label == "Lab Vendor"} == set(pending(Suite.VENDOR))
