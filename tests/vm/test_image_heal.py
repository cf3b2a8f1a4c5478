"""A virtual PC with a damaged disk and no network: its menu starts the repair, and that mends it from its own copy."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab_tool import canonical
from lab_tool.imaging.deploy_system.api import build_deploy_system
from lab_tool.settings import PROJECT, Settings
from lab_tool.signature import public_line
from tests.support.image_made import MIB, Files, linux_image, opened
from tests.support.image_pc import MAC, Pc, make_pc
from tests.support.image_server import serving
from tests.testbed.places import HostPlace
from tests.testbed.programs import run
from tests.testbed.room import TestRoom, build_room
from tests.vm.netboot import Firmware, VirtualPc

EFI = f"@@{2 * MIB}"
ROOT = "debian-lab-system"


@dataclass
class Imaged:
    """A PC that was imaged with a real deploy system, on a disk that is a file."""

    pc: Pc
    root: tuple[int, int]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRoom]:
    """A room for the virtual PC to stand in."""
    with build_room("heal", 1, tmp_path_factory.mktemp("room") / "room") as room:
        yield room


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imaged]:
    """Imaged here, without a virtual PC, which takes a fraction of the time."""
    folder = tmp_path_factory.mktemp("imaged")
    files = Files(folder / "srv")
    image = linux_image(files, folder)
    with serving(files.folder, folder) as server:
        pc = make_pc(folder, server, files)
        settings = Settings(PROJECT, PROJECT / "inventory", folder / "state")
        deploy = build_deploy_system(settings, files.folder, signers=[public_line(pc.key)], pins=[server.pin])
        system = files.folder / "deploy" / deploy
        shutil.copytree(system / "boot-area", pc.base / "boot-area", dirs_exist_ok=True)
        about = json.loads((system / "deploy.json").read_bytes())
        del about["files"]
        (pc.base / "etc/lab/deploy.json").write_bytes(canonical.dump(about))
        pc.order(image, deploy=deploy, cache=128 * MIB)
        assert pc.run() == 0, pc.said
        assert pc.result["cache"] == "complete"
        yield Imaged(pc, pc.place(ROOT))


def spoil(imaged: Imaged, disk: Path) -> None:
    """What a failing disk and a child with a live system do: a file gone, cells overwritten. The repair comes first in
    the menu, as if somebody had chosen it.
    """
    start, size = imaged.root
    with opened(disk, "ext4", start, size) as root:
        (root / "vmlinuz").unlink()
    with disk.open("r+b") as opened_disk:
        opened_disk.seek(start + 20 * MIB)
        opened_disk.write(b"damage" * 100_000)
    menu = disk.with_name("menu")
    run("mcopy", "-n", "-o", "-i", f"{disk}{EFI}", "::/grub/grub.cfg", menu)
    menu.write_text(menu.read_text("utf-8").replace("set default=0", "set default=1"), "utf-8")
    run("mcopy", "-o", "-i", f"{disk}{EFI}", menu, "::/grub/grub.cfg")


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure"])
def test_without_a_network_a_damaged_disk_is_mended(
    firmware: Firmware, room: TestRoom, imaged: Imaged, tmp_path: Path
) -> None:
    disk = tmp_path / "raw.img"
    run("cp", "--sparse=always", imaged.pc.disk, disk)
    with opened(disk, "ext4", *imaged.root) as root:
        key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text("ascii")
        content = hashlib.sha256((root / "home/7").read_bytes()).digest()
    spoil(imaged, disk)
    pc = VirtualPc(HostPlace(room.record.place, 2), tmp_path / "pc", firmware=firmware)
    pc.mac = MAC
    run("qemu-img", "convert", "-O", "qcow2", disk, pc.disk)
    try:
        pc.start(network=False)
        pc.wait_for("LAB: deploy system")
        pc.wait_for("repairing")
        pc.wait_for("LAB: restarting", 300)
    finally:
        pc.close()
    run("qemu-img", "convert", "-O", "raw", pc.disk, disk)
    with opened(disk, "ext4", *imaged.root) as root:
        assert (root / "vmlinuz").read_text("ascii") == "kernel"
        assert (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text("ascii") == key
        assert hashlib.sha256((root / "home/7").read_bytes()).digest() == content
