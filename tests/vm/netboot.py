"""A virtual PC as it stands in a lab: an empty disk, a cable in the room's switch, BIOS or UEFI, and nobody at it.

It starts from the network like a real one (its firmware asks), or from its disk, or from a stick. Made for rooms of
`tests.testbed`: it hangs on the room's bridge, with the MAC and address of a seat.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from tests.testbed.network import MTU
from tests.testbed.places import NETNS, HostPlace
from tests.testbed.programs import run

Firmware = Literal["bios", "uefi", "uefi-secure"]
_OVMF = Path("/usr/share/OVMF")
# What QEMU needs more than for BIOS: code and variables of the firmware.
_FIRMWARE = {
    "uefi": (_OVMF / "OVMF_CODE_4M.fd", _OVMF / "OVMF_VARS_4M.fd"),
    "uefi-secure": (_OVMF / "OVMF_CODE_4M.ms.fd", _OVMF / "OVMF_VARS_4M.ms.fd"),
}


class VirtualPc:
    """One PC on a seat; `folder` holds its disk `disk.qcow2` and its console. Off until `start` (or `watch`)."""

    def __init__(
        self,
        place: HostPlace,
        folder: Path,
        *,
        firmware: Firmware = "bios",
        disk_mib: int = 3072,
        memory_mib: int = 512,
        card: str = "virtio-net-pci",
    ) -> None:
        self.place, self.folder, self.firmware = place, folder, firmware
        self.memory_mib, self.card = memory_mib, card
        self.mac, self.address = place.mac, str(place.address)
        self.disk = folder / "disk.qcow2"
        self.starts = 0
        self._qemu: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        run("qemu-img", "create", "-q", "-f", "qcow2", self.disk, f"{disk_mib}M")
        if firmware != "bios":
            # What the firmware remembers (its order of starting, for one) is this PC's own.
            run("cp", _FIRMWARE[firmware][1], folder / "firmware")

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return self._qemu is not None and self._qemu.poll() is None

    @property
    def console(self) -> str:
        """What it wrote on its first serial port since it was last switched on, without control characters."""
        path = self.folder / f"console-{self.starts}"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "".join(letter for letter in text if letter.isprintable() or letter == "\n")

    def start(self, *, network: bool = True, stick: Path | None = None) -> None:
        """Switch on. It tries a stick, then the network, then its disk; without `network` there is no cable in."""
        assert not self.running, "it is on already"
        self.starts += 1
        self._cable(connected=network)
        argv = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={NETNS / self.place.room.name}"]
        argv += ["qemu-system-x86_64", *self._options(stick, network=network)]
        with (self.folder / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """Cut the power. Nothing happens when it is off."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def close(self) -> None:
        """Carry it out of the room."""
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait()
            self._watcher = None
        self.kill()
        run("ip", "-n", self.place.room.name, "link", "delete", self._tap, check=False)

    def press(self, keys: str) -> None:
        """Press keys at once, as QEMU names them: `ctrl-c`, `alt-f2`, `ret`."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.folder / "monitor"))
            link.sendall(f"sendkey {keys}\n".encode("ascii"))
            time.sleep(0.5)

    def plug(self, *, connected: bool) -> None:
        """Put the cable in or pull it while it runs."""
        run("ip", "-n", self.place.room.name, "link", "set", self._tap, "up" if connected else "down")

    def watch(self) -> None:
        """From now on it is switched on by the magic packet with its MAC (Wake-on-LAN), as a PC that is off is."""
        inside = ("nsenter", f"--net={NETNS / self.place.room.name}")
        script = Path(__file__).with_name("wake_watcher.py")
        argv = [*("setpriv", "--pdeathsig", "KILL"), *inside, sys.executable, str(script), "br0", self.mac]
        self._watcher = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        # The thread lives as long as the watcher: whoever starts QEMU must outlive it.
        threading.Thread(target=self._obey, args=(self._watcher,), daemon=True).start()

    def _obey(self, watcher: subprocess.Popen[str]) -> None:
        assert watcher.stdout is not None
        for _ in watcher.stdout:
            if not self.running:
                self.start()

    def wait_for(self, text: str, patience: float = 240.0) -> None:
        """Wait until `text` stands on its console."""
        limit = time.monotonic() + patience
        while text not in self.console:
            assert self.running, f"it is off; see {self.folder}\n{(self.folder / 'qemu.log').read_text('utf-8')}"
            assert time.monotonic() < limit, f"not on the console: {text}\n{self.console[-3000:]}"
            time.sleep(0.5)

    def wait_for_port(self, port: int = 22, patience: float = 300.0) -> None:
        """Wait until something answers on a TCP port of its address."""
        limit = time.monotonic() + patience
        probe = f"timeout 2 bash -c '</dev/tcp/{self.address}/{port}'"
        while run("sh", "-c", probe, check=False).returncode:
            assert time.monotonic() < limit, f"{self.address}:{port} does not answer\n{self.console[-3000:]}"
            time.sleep(1)

    @property
    def _tap(self) -> str:
        return f"vm{self.place.seat}"

    def _cable(self, *, connected: bool) -> None:
        room = self.place.room.name
        if run("ip", "-n", room, "link", "show", self._tap, check=False).returncode:
            run("ip", "-n", room, "tuntap", "add", self._tap, "mode", "tap")
            run("ip", "-n", room, "link", "set", self._tap, "mtu", str(MTU), "master", "br0")
        self.plug(connected=connected)

    def _options(self, stick: Path | None, *, network: bool) -> list[str]:
        options = {
            "-accel": "tcg,thread=multi,tb-size=256",
            "-machine": "q35,smm=on" if self.firmware == "uefi-secure" else "q35",
            "-cpu": "max",
            "-smp": "2",
            "-m": str(self.memory_mib),
            "-uuid": f"6c61622d-7063-4000-8000-{self.mac.replace(':', '')}",
            "-display": "none",
            "-serial": f"file:{self.folder / f'console-{self.starts}'}",
            "-monitor": f"unix:{self.folder / 'monitor'},server,nowait",
            "-netdev": f"tap,id=cable,ifname={self._tap},script=no,downscript=no",
        }
        # Real BIOS firmware brings a network loader of its own; here it is iPXE. UEFI has one built in.
        loader = "" if self.firmware == "bios" else ",romfile="
        # Without a cable UEFI would ask four kinds of servers for minutes before it came to the disk.
        order = ",bootindex=1" if network else ""
        devices = [
            "virtio-rng-pci",
            f"{self.card},netdev=cable,mac={self.mac}{order}{loader}",
            "virtio-blk-pci,drive=disk,bootindex=2",
        ]
        drives = [f"if=none,id=disk,file={self.disk},format=qcow2,cache=unsafe,discard=unmap"]
        if self.firmware != "bios":
            code = _FIRMWARE[self.firmware][0]
            drives.append(f"if=pflash,unit=0,format=raw,readonly=on,file={code}")
            drives.append(f"if=pflash,unit=1,format=raw,file={self.folder / 'firmware'}")
        if stick is not None:
            drives.append(f"if=none,id=stick,file={stick},format=raw,readonly=on")
            devices += ["qemu-xhci", "usb-storage,drive=stick,bootindex=0"]
        words = ["-nodefaults", "-no-user-config"]
        words += [word for option in options.items() for word in option]
        words += [word for drive in drives for word in ("-drive", drive)]
        words += [word for device in devices for word in ("-device", device)]
        if self.firmware == "uefi-secure":
            words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        return words
