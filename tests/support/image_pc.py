"""A PC without a PC: its disk is a file, its deploy system a folder; the client runs on it as it would there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab_tool import signature
from lab_tool.imaging.deploy.run import run
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy_system.archive import file, link, packed
from lab_tool.imaging.deploy_system.description import describe
from lab_tool.imaging.format.order import NAMESPACE, Order, OrderedSystem, Personal
from tests.support.image_made import Files
from tests.support.image_server import ImageServer

MAC = "52:54:00:a3:01:07"
KERNEL = b"kernel of the deploy system"
_ENTRIES = {"init": file(b"#!/bin/sh\n", executable=True), "usr/bin/sh": link("busybox"), "bin": link("usr/bin")}
DEPLOY, ABOUT = describe((), KERNEL, _ENTRIES)
INITRD = packed({**_ENTRIES, "etc/lab/deploy.json": file(ABOUT)})
ACCESS_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@dataclass
class Pc:
    """`disk` is its disk, `base` the folder in the place of the deploy system's root, `key` the control node's."""

    disk: Path
    base: Path
    key: Path
    server: ImageServer
    files: Files
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    @property
    def situation(self) -> Situation:
        """With a new token; time passes only by sleeping."""
        return Situation(
            api=self.server.api,
            http=self.server.http,
            pin=self.server.pin,
            token=self.server.token(),
            mac=MAC,
            base=self.base,
            disk=str(self.disk),
            patience=60.0,
            now=lambda: sum(self.slept),
            sleep=self.slept.append,
        )

    def order(self, *images: str, **more: Any) -> Order:
        """An order for these images, the first one starts; the server hands it out."""
        order = make_order(self.files, images, **more)
        self.give(order)
        return order

    def give(self, order: Order, key: Path | None = None) -> None:
        """Sign an order and have the server hand it out."""
        self.server.order = order.dump().decode("ascii")
        self.server.signature = signature.sign(order.dump(), key or self.key, NAMESPACE)

    def run(self, **more: Any) -> int:
        """Switch it on."""
        self.said.clear()
        return run(replace(self.situation, **more), self.said.append)

    @property
    def result(self) -> dict[str, Any]:
        """What it reported in the end."""
        last = self.server.reports[-1]
        assert last["state"] == "imaged", (last, self.said)
        found: dict[str, Any] = last["result"]
        return found

    def place(self, name: str) -> tuple[int, int]:
        """Where on the disk the partition of that name lies: start and size in bytes."""
        done = subprocess.run(["sfdisk", "--json", str(self.disk)], check=True, capture_output=True)
        for part in json.loads(done.stdout)["partitiontable"]["partitions"]:
            if part.get("name") == name:
                return part["start"] * 512, part["size"] * 512
        raise AssertionError(f"no partition {name}")

    @property
    def boots(self) -> bool:
        """Whether BIOS or UEFI would find anything to start."""
        with self.disk.open("rb") as opened:
            code = opened.read(440)
            opened.seek(2 * 1024 * 1024)
            efi = opened.read(512)
        return any(code) or any(efi)


def make_order(files: Files, images: Sequence[str], **more: Any) -> Order:
    """An order for PC a301-07."""
    systems = tuple(
        OrderedSystem(image, files.manifests[image].name, files.manifests[image].version, at == 0)
        for at, image in enumerate(images)
    )
    personal = Personal(
        hostname="a301-07",
        address="10.3.1.7",
        prefix=24,
        gateway="10.3.1.1",
        dns=("10.3.0.53",),
        account="lab-admin",
        keys=(ACCESS_KEY,),
        time_zone="Asia/Shanghai",
    )
    fields: dict[str, Any] = {
        "id": "o-0123456789abcdef",
        "host": "a301-07",
        "room": "a301",
        "mac": MAC,
        "action": "image",
        "issued": "2026-11-24T10:00:00Z",
        "run": "r-1",
        "change": "c-1",
        "deploy": DEPLOY,
        "systems": systems,
        "personal": personal,
    }
    return Order(**{**fields, **more})


def make_pc(folder: Path, server: ImageServer, files: Files, size: int = 600 * 1024 * 1024) -> Pc:
    """A PC with an empty disk of that size, known to the server."""
    base, disk, key = folder / "base", folder / "disk.img", folder / "control"
    for name in ("etc/lab/trust", "boot-area", "sys/class/net/eth0", "sys/block", "run"):
        (base / name).mkdir(parents=True)
    (base / "etc/lab/deploy.json").write_bytes(ABOUT)
    (base / "sys/class/net/eth0/address").write_text(f"{MAC}\n", "ascii")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    (base / "etc/lab/trust/signers").write_text(signature.public_line(key) + "\n", "ascii")
    (base / "etc/lab/trust/pins").write_text(server.pin + "\n", "ascii")
    for name, content in {"boot.img": b"BOOT" * 110, "core.img": b"CORE" * 8000, "BOOTX64.EFI": b"MZ" * 90_000}.items():
        (base / "boot-area" / name).write_bytes(content)
    files.put(f"deploy/{DEPLOY}/vmlinuz", KERNEL)
    files.put(f"deploy/{DEPLOY}/initrd.img", INITRD)
    with disk.open("wb") as opened:
        opened.truncate(size)
    return Pc(disk, base, key, server, files)
