"""A virtual PC: power, USB ports, keyboard and mouse by QEMU's own protocol (QMP), everything else over SSH."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.testbed.programs import run
from tests.vm.image import image

_BOOT_SECONDS = 300.0


class VirtualPc:
    """One PC with a disk, a USB bus, a keyboard and a mouse; `folder` holds its disk, its key and its console."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = image()
        self._qemu: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.key = folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        run("cp", "--sparse=always", self._image / "disk.img", folder / "disk.img")
        self._put_in(f"{self.key}.pub", "/root/.ssh/authorized_keys")

    def _put_in(self, source: str, target: str) -> None:
        """Write a file into the disk while the PC is off."""
        commands = self.folder / "debugfs"
        commands.write_text(f"write {source} {target}\nset_inode_field {target} mode 0100600\n", encoding="utf-8")
        run("debugfs", "-w", "-f", commands, self.folder / "disk.img")

    def on(self) -> None:
        """Switch on, and wait until SSH answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (self.folder / "qmp").unlink(missing_ok=True)
        options: Mapping[str, str] = {
            "-accel": "tcg,thread=multi,tb-size=256",
            # No keyboard but the one at the USB bus.
            "-machine": "q35,i8042=off",
            "-cpu": "max",
            "-smp": "2",
            "-m": "1024",
            "-display": "none",
            "-serial": f"file:{self.folder / 'console'}",
            "-qmp": f"unix:{self.folder / 'qmp'},server,nowait",
            "-kernel": str(self._image / "vmlinuz"),
            "-initrd": str(self._image / "initrd.img"),
            "-append": "root=/dev/vda rw console=ttyS0 quiet mitigations=off",
            "-drive": f"if=virtio,file={self.folder / 'disk.img'},format=raw,cache=unsafe",
            "-nic": f"user,model=e1000,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
        }
        devices = ("virtio-rng-pci", "qemu-xhci,id=usb,p2=8,p3=8", "usb-kbd,id=keyboard", "usb-mouse,id=mouse")
        self._qemu = subprocess.Popen(
            [
                "qemu-system-x86_64",
                *("-nodefaults", "-no-user-config"),
                *(word for option in options.items() for word in option),
                *(word for device in devices for word in ("-device", device)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "qemu.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        limit = time.monotonic() + _BOOT_SECONDS
        while self.ssh("true").returncode:
            assert self._qemu.poll() is None, (self.folder / "qemu.log").read_text(encoding="utf-8")
            assert time.monotonic() < limit, f"no SSH; see {self.folder / 'console'}"
            time.sleep(1)

    def off(self) -> None:
        """Pull the plug. What was plugged in at the USB bus is gone with it."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        run("ssh", "-o", f"ControlPath={self.folder / 'ssh'}", "-O", "exit", "root@127.0.0.1", check=False)

    def reboot(self) -> None:
        """Let it reboot in order; USB devices stay plugged in."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.ssh("systemctl reboot")
        run("ssh", "-o", f"ControlPath={self.folder / 'ssh'}", "-O", "exit", "root@127.0.0.1", check=False)
        self.wait_until(f"test $(cat /proc/sys/kernel/random/boot_id) != {before}", _BOOT_SECONDS)
        self.wait_until("test -e /run/systemd/units/../system && systemctl is-active multi-user.target", _BOOT_SECONDS)

    def ssh(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run shell text as root."""
        try:
            return run(*self.ssh_command(), "root@127.0.0.1", text, check=False, timeout=120)
        except Exception as error:  # a connection that hangs while it boots
            return subprocess.CompletedProcess([], 255, "", str(error))

    def ssh_command(self) -> tuple[str, ...]:
        """How it is reached."""
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "5",
            "ControlMaster": "auto",
            "ControlPersist": "600",
            "ControlPath": str(self.folder / "ssh"),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ("ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port), *words)

    def run(self, text: str) -> str:
        """Run shell text as root and hold it to success; what it said."""
        done = self.ssh(text)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_until(self, text: str, patience: float = 90.0) -> None:
        """Wait until shell text succeeds."""
        limit = time.monotonic() + patience
        while (done := self.ssh(text)).returncode:
            assert time.monotonic() < limit, f"it did not come about: {text}\n{done.stdout}{done.stderr}"
            time.sleep(1)

    def plug(self, name: str, serial: str) -> None:
        """Plug in a USB stick whose content is the file `name`.img."""
        file = {"driver": "file", "filename": str(self.folder / f"{name}.img")}
        self._ask("blockdev-add", {"driver": "raw", "node-name": name, "file": file})
        self._ask("device_add", {"driver": "usb-storage", "id": name, "drive": name, "serial": serial, "bus": "usb.0"})

    def unplug(self, name: str) -> None:
        """Pull a USB stick out."""
        self._ask("device_del", {"id": name})
        limit = time.monotonic() + 30
        while "error" in self._ask("blockdev-del", {"node-name": name}, check=False):
            assert time.monotonic() < limit, f"{name} stays plugged in"
            time.sleep(0.5)

    def type_and_move(self) -> None:
        """Press a key, move the mouse."""
        key = {"type": "qcode", "data": "a"}
        press = [{"type": "key", "data": {"down": down, "key": key}} for down in (True, False)]
        self._ask("input-send-event", {"events": press})
        self._ask("input-send-event", {"events": [{"type": "rel", "data": {"axis": "x", "value": 9}}]})

    def plug_anew(self, name: str, driver: str) -> None:
        """Pull the keyboard or mouse out and plug it in again."""
        self._ask("device_del", {"id": name})
        time.sleep(3)
        self._ask("device_add", {"driver": driver, "id": name, "bus": "usb.0"})

    def _ask(self, command: str, arguments: Mapping[str, object], *, check: bool = True) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.folder / "qmp"))
            stream = link.makefile("rw", encoding="utf-8")

            def answer() -> dict[str, Any]:
                while "event" in (message := json.loads(stream.readline())):
                    pass
                return dict(message)

            answer()
            for question in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(question) + "\n")
                stream.flush()
                said = answer()
        assert not check or "error" not in said, said
        return said


def reason_not_available() -> str:
    """Empty when a virtual PC can be had here; otherwise one sentence that says why not."""
    wanted = Path(__file__).with_name("packages.txt").read_text(encoding="ascii").split()
    programs = (
        *("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mkfs.vfat", "mcopy", "mke2fs", "debugfs", "sfdisk"),
        *("dnsmasq", "openssl", "/usr/lib/ipxe/undionly.kpxe", "/usr/share/OVMF/OVMF_CODE_4M.fd"),
    )
    if all(shutil.which(program) or Path(program).exists() for program in programs):
        return ""
    return f"Virtual PCs need packages. Run: apt-get install {' '.join(wanted)}"
