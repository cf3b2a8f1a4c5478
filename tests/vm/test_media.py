"""Removable storage on a PC with a kernel and a USB bus of its own: the control's whole way, from plug to mount.

The tests go on where the one before ended, as a day does: nothing admitted, an exception, a reboot, its end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT
from tests.testbed.programs import run
from tests.vm.machine import VirtualPc

# What the test's own signature base knows. Not the usual test file: scanners of this machine would take it away.
VIRUS = "lab-" + "test-" + "virus"
_SCANNER = """#!/bin/sh
exec clamscan --no-summary --recursive --database=/srv/lab.ndb "$1"
"""
JOURNAL = "journalctl -t lab-media -o cat"
STORAGE = "for i in /sys/bus/usb/devices/*:*; do test $(cat $i/bInterfaceClass) != 08 || cat $i/authorized; done"


class LockedPc:
    """A virtual PC with the media controls."""

    def __init__(self, folder: Path) -> None:
        self.pc = VirtualPc(folder)
        self.folder = folder
        for name, text in (("clean", "hello"), ("infected", f"-{VIRUS}-")):
            file, disk = folder / name, folder / f"{name}.img"
            file.write_text(f"#!/bin/sh\necho {text}\n", encoding="ascii")
            run("truncate", "--size=8M", disk)
            run("mkfs.vfat", "-n", name.upper(), disk)
            run("mcopy", "-i", disk, file, "::paper.sh")

    def play(self, playbook: str, **given: object) -> None:
        """Run a playbook on it."""
        settings = self.folder / "ansible.cfg"
        plugins = PROJECT / "lab_tool/plugins"
        settings.write_text(
            f"[defaults]\nroles_path = {PROJECT / 'roles'}\nlibrary = {plugins / 'modules'}\n"
            f"module_utils = {plugins / 'module_utils'}\naction_plugins = {plugins / 'action'}\n"
            "interpreter_python = /usr/bin/python3\n[ssh_connection]\npipelining = True\n",
            encoding="utf-8",
        )
        hosts = self.folder / "hosts"
        options = " ".join(self.pc.ssh_command()[1:])
        hosts.write_text(f"vm ansible_host=127.0.0.1 ansible_user=root ansible_ssh_common_args='{options}'\n", "utf-8")
        extra = self.folder / "extra.json"
        extra.write_text(json.dumps(given), encoding="utf-8")
        program = Path(sys.executable).with_name("ansible-playbook")
        env = {"ANSIBLE_CONFIG": str(settings), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        playbook_path = Path(__file__).with_name(playbook)
        done = run(program, "-i", hosts, playbook_path, "-e", f"@{extra}", env=env, check=False, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr

    def lock(self, profile: str) -> None:
        """Put the media controls of a profile into effect."""
        profiles = yaml.safe_load((PROJECT / "roles/lockdown/vars/profiles.yml").read_text(encoding="utf-8"))
        others = [name for name in profiles["__lockdown_profiles"][profile] if not name.startswith("media_")]
        self.play("lock.yml", lab_profile=profile, lockdown_controls=dict.fromkeys(others, False))

    def admit(self, seconds: int, *serials: str) -> None:
        """Make an exception that ends in so many seconds; 0 ends it now."""
        end = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
        self.play(
            "admit.yml",
            lockdown_media_until=end,
            lockdown_media_devices=list(serials),
            lockdown_media_reason="A contest",
        )

    def admit_at_once(self, seconds: int) -> None:
        """The same without the role, which on a busy machine takes longer than a short exception lasts."""
        grant = '{"devices": [], "reason": "A contest", "until": %d}'
        self.pc.run(
            f"printf '{grant}' $(($(date +%s) + {seconds})) >/var/lib/lab/media/exception.json; "
            "/usr/local/libexec/lab-media settle"
        )

    def status(self) -> Any:
        """What the PC says it admits."""
        return json.loads(self.pc.run("/usr/local/libexec/lab-media status"))

    def checks(self) -> str:
        """What the control's checks find wrong."""
        return self.pc.run("for what in modules devices; do /usr/local/libexec/lab-media check $what || true; done")

    def wait_for_journal(self, text: str) -> None:
        """Wait until lab-media has said something, and begin a new page."""
        self.pc.wait_until(f"{JOURNAL} | grep -q '{text}'")
        self.pc.run("journalctl --rotate --vacuum-time=1s; sleep 1")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedPc]:
    """A teacher's PC: media is admitted once scanned."""
    pc = LockedPc(tmp_path_factory.mktemp("vm"))
    try:
        pc.pc.on()
        pc.pc.run(f"echo 'Lab.Test:0:*:{VIRUS.encode().hex()}' >/srv/lab.ndb; mkdir -p /usr/local/libexec")
        pc.pc.run(f"cat >/usr/local/libexec/lab-scan <<'E'\n{_SCANNER}E\nchmod 755 /usr/local/libexec/lab-scan")
        pc.lock("teacher")
        yield pc
    finally:
        pc.pc.off()


@pytest.fixture(scope="module")
def pc(locked: LockedPc) -> VirtualPc:
    """The same, for what has to do with its hardware."""
    return locked.pc


def test_a_teacher_s_stick_is_scanned_and_then_can_be_read(locked: LockedPc, pc: VirtualPc) -> None:
    pc.plug("clean", "S1")
    locked.wait_for_journal("scanned and clean, mounted at /media/lab/sda")
    options = pc.run("findmnt --noheadings --output OPTIONS /media/lab/sda").split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)
    assert "hello" in pc.run("runuser -u student -- cat /media/lab/sda/paper.sh")
    assert "Permission denied" in pc.ssh("runuser -u student -- /media/lab/sda/paper.sh").stderr
    assert pc.ssh("runuser -u student -- touch /media/lab/sda/x").returncode
    assert pc.ssh("runuser -u student -- head -c 1 /dev/sda").returncode
    assert locked.checks() == ""


def test_an_infected_one_can_t(locked: LockedPc, pc: VirtualPc) -> None:
    pc.plug("infected", "S2")
    locked.wait_for_journal("sdb refused: a virus was found")
    assert pc.run("ls /media/lab") == "sda"
    pc.wait_until("test ! -e /sys/block/sdb")


def test_without_a_scanner_nothing_is_admitted(locked: LockedPc, pc: VirtualPc) -> None:
    pc.unplug("clean")
    pc.wait_until('test -z "$(ls /media/lab)" && ! grep -q /media/lab /proc/mounts')
    pc.run("mv /usr/local/libexec/lab-scan /root/")
    pc.plug("clean", "S1")
    locked.wait_for_journal("refused: it could not be scanned")
    pc.run("mv /root/lab-scan /usr/local/libexec/")
    assert pc.run("ls /media/lab") == ""


def test_a_student_s_pc_refuses_sticks_that_are_there_and_that_come(locked: LockedPc, pc: VirtualPc) -> None:
    for name in ("clean", "infected"):
        pc.unplug(name)
    pc.plug("clean", "S1")
    locked.wait_for_journal("scanned and clean")
    # Taking media_scanned back takes the stick away, and with it the modules.
    locked.lock("student")
    assert pc.run("ls /media/lab") == ""
    assert locked.checks() == ""
    assert pc.ssh("lsmod | grep -q usb_storage").returncode
    pc.unplug("clean")
    pc.plug("clean", "S1")
    locked.wait_for_journal("refused: removable media is not admitted here")
    assert pc.run(STORAGE) == "0"
    assert pc.ssh("test -e /dev/sda").returncode
    assert pc.ssh("modprobe usb_storage").returncode


def test_keyboard_and_mouse_are_never_cut_off(pc: VirtualPc) -> None:
    def listen() -> str:
        begin = "for k in kbd mouse; do timeout 20 head -c 24 /dev/input/by-id/usb-*-event-$k | wc -c >/tmp/$k & done"
        pc.run(f"({begin}; wait) >/dev/null 2>&1 & sleep 2")
        pc.type_and_move()
        pc.wait_until("test -s /tmp/kbd && test -s /tmp/mouse", 40)
        return pc.run("cat /tmp/kbd /tmp/mouse; rm /tmp/kbd /tmp/mouse")

    assert listen().split() == ["24", "24"]
    # Whatever becomes of the program and its policy, and while storage is refused beside them.
    pc.run("mv /usr/local/libexec/lab-media /root/; systemctl stop lab-media.service")
    pc.plug_anew("keyboard", "usb-kbd")
    pc.plug_anew("mouse", "usb-mouse")
    pc.wait_until("ls /dev/input/by-id/usb-*-event-kbd /dev/input/by-id/usb-*-event-mouse")
    assert listen().split() == ["24", "24"]
    # ... and without the program nothing is let in.
    pc.unplug("clean")
    pc.plug("clean", "S1")
    pc.run("sleep 5; test ! -e /sys/block/sda")
    pc.run("mv /root/lab-media /usr/local/libexec/; systemctl start lab-media.service")


def test_a_student_can_t_have_anything_mounted(pc: VirtualPc) -> None:
    pc.run("truncate -s 1M /home/student/disk; chown student /home/student/disk")
    said = pc.ssh("runuser -u student -- udisksctl loop-setup --no-user-interaction --file /home/student/disk")
    assert said.returncode and "NotAuthorized" in said.stderr
    assert pc.ssh("runuser -u student -- mount -o loop /home/student/disk /mnt").returncode
    assert pc.ssh("runuser -u student -- udisksctl mount --block-device /dev/vda").returncode


def test_an_exception_is_for_the_devices_it_names(locked: LockedPc, pc: VirtualPc) -> None:
    locked.admit(3600, "S2")
    assert locked.status()["exception"]["devices"] == ["S2"]
    pc.unplug("clean")
    pc.plug("clean", "S1")
    locked.wait_for_journal("the exception is for other devices (serial number S1)")
    pc.plug("infected", "S2")
    locked.wait_for_journal("refused: a virus was found")


def test_ended_by_a_change_it_is_over_at_once(locked: LockedPc, pc: VirtualPc) -> None:
    locked.admit(0)
    assert locked.status()["exception"] is None
    assert pc.ssh("lsmod | grep -q usb_storage").returncode
    assert locked.checks() == ""


def test_it_lasts_over_a_reboot_and_ends_by_itself(locked: LockedPc, pc: VirtualPc) -> None:
    pc.unplug("infected")
    locked.admit_at_once(400)
    locked.wait_for_journal("scanned and clean")
    pc.reboot()
    pc.wait_until("test -e /media/lab/sda/paper.sh")
    assert locked.checks() == ""
    # A clock that is set back prolongs nothing.
    pc.run("date --set='-2 hours'")
    pc.wait_until("test ! -e /var/lib/lab/media/exception.json", 500)
    pc.wait_until('test -z "$(ls /media/lab)" && test ! -e /sys/block/sda && ! lsmod | grep -q usb_storage')
    assert pc.run(STORAGE) == "0"
    assert locked.checks() == ""
    pc.run("date --set='+2 hours'")


def test_one_whose_end_came_while_the_pc_was_off_is_over_at_boot(locked: LockedPc, pc: VirtualPc) -> None:
    locked.admit_at_once(60)
    locked.wait_for_journal("scanned and clean")
    end = locked.status()["exception"]["until"]
    pc.off()
    while datetime.now(UTC).timestamp() < end:
        run("sleep", "1")
    pc.on()
    pc.plug("clean", "S1")
    locked.wait_for_journal("refused: removable media is not admitted here")
    pc.wait_until("test ! -e /var/lib/lab/media/exception.json")
    assert locked.checks() == ""
