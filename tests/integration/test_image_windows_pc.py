"""A WIM goes the whole way: recipe, store, server, client, disk. What is on the disk then is read by other programs."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.imaging.build.esp import pack_esp
from lab_tool.imaging.build.wim import draft_of_wim
from lab_tool.imaging.deploy import bcd
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders.policies import windows_policies
from lab_tool.imaging.orders.unattend import answer_file
from lab_tool.imaging.store.store import Store
from tests.integration.windows_disk import SYSTEM, chntpw_value, read_file, sound
from tests.integration.windows_fixtures import tools
from tests.support.image_fixtures import files, image, pc, server
from tests.support.image_made import MIB, Files, opened
from tests.support.image_pc import MAC, Pc, make_order
from tests.support.windows import (
    BINARY,
    make_hive,
    make_wim,
    make_windows,
    value_of,
)

__all__ = ["files", "image", "pc", "server", "tools"]
pytestmark = pytest.mark.hosts
LOADER = "{11111111-5cdd-4e70-acc1-f32b344d4795}"
OF_THE_REFERENCE = bcd.device(uuid.uuid5(uuid.NAMESPACE_DNS, "reference"), uuid.uuid5(uuid.NAMESPACE_DNS, "disk"))
ELEMENT = rf"Objects\{LOADER}\Elements\21000001"
USBSTOR = r"ControlSet001\Services\USBSTOR"


@pytest.fixture(scope="module")
def windows(files: Files, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an image in a real store that is what the server serves."""
    work = tmp_path_factory.mktemp("windows")
    make_windows(work / "tree")
    (work / "tree" / "Program Files").mkdir()
    (work / "tree" / "Program Files" / "large.bin").write_bytes(os.urandom(8 * MIB))
    boot = work / "esp/EFI/Microsoft/Boot"
    boot.mkdir(parents=True)
    (boot / "bootmgfw.efi").write_bytes(b"MZ boot manager")
    make_hive(boot / "BCD", {(ELEMENT, "Element"): (BINARY, OF_THE_REFERENCE)})
    draft = draft_of_wim(
        make_wim(work / "tree", work / "lab.wim"),
        1,
        work,
        name="windows-lab",
        title="Windows",
        size=96 * MIB,
        esp=pack_esp(work / "esp", work / "esp.tar"),
    )
    store = Store(files.folder)
    made = store.add(draft, lambda data: "unsigned\n", "2026-09-01T00:00:00Z", "li_na")
    files.manifests[made] = store.read(made).manifest
    return made


def order(pc: Pc, *images: str) -> Order:
    """An order with the answer file and the policies, as the control node makes it."""
    made = make_order(pc.files, images)
    answers = answer_file(made.personal, MAC)
    made = replace(made, personal=replace(made.personal, unattend=answers, policies=windows_policies()))
    pc.give(made)
    return made


def partition(pc: Pc, name: str) -> Path:
    """A copy of one of the disk's partitions."""
    start, size = pc.place(name)
    copy = pc.disk.with_name(f"{name}.part")
    with pc.disk.open("rb") as disk, copy.open("wb") as out:
        disk.seek(start)
        for _ in range(size // MIB):
            out.write(disk.read(MIB))
    return copy


def test_windows_beside_linux_on_one_disk(pc: Pc, windows: str, image: str, tmp_path: Path) -> None:
    order(pc, windows, image)
    assert pc.run() == 0, pc.said
    assert pc.boots

    volume = partition(pc, "windows-lab-system")
    assert sound(volume)
    assert volume.stat().st_size > 96 * MIB
    registry = read_file(volume, SYSTEM)
    assert value_of(registry, USBSTOR, "Start") == 4
    assert chntpw_value(registry, USBSTOR, "Start", tmp_path) == "dword:00000004"
    assert b"<ComputerName>a301-07</ComputerName>" in read_file(volume, "Windows/Panther/unattend.xml")
    stated = json.loads(read_file(volume, "ProgramData/lab/image.json"))
    assert (stated["image"], stated["name"], stated["host"]) == (windows, "windows-lab", "a301-07")
    assert stated["cells"] == pc.result["cells_sha256"]
    for line in pc.result["host_keys"]:
        kind = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(line.split()[0], "ecdsa")
        assert line in read_file(volume, f"ProgramData/ssh/ssh_host_{kind}_key.pub").decode()
    _check_start_files(pc, tmp_path)
    start, size = pc.place("debian-lab-system")
    with opened(pc.disk, "ext4", start, size) as root:
        assert (root / "etc/hostname").read_text("ascii") == "a301-07\n"


def test_a_pc_that_has_it_gets_only_what_makes_it_a_pc_anew(pc: Pc, windows: str) -> None:
    order(pc, windows)
    assert pc.run() == 0, pc.said
    first, keys = pc.result["fetched_bytes"], pc.result["host_keys"]
    volume = partition(pc, "windows-lab-system")
    answers = read_file(volume, "Windows/Panther/unattend.xml")
    order(pc, windows)
    assert pc.run() == 0, pc.said
    assert 0 < pc.result["fetched_bytes"] < first / 4
    volume = partition(pc, "windows-lab-system")
    assert sound(volume)
    assert read_file(volume, "Windows/Panther/unattend.xml") != answers
    assert pc.result["host_keys"] != keys


def test_an_order_with_another_pcs_answer_file_is_refused_before_the_disk_is_touched(pc: Pc, windows: str) -> None:
    made = order(pc, windows)
    answers = made.personal.unattend.replace(">a301-07<", ">a301-08<")
    pc.give(replace(made, personal=replace(made.personal, unattend=answers)))
    assert pc.run() == 1
    assert not any(pc.disk.read_bytes())
    assert "a301-08, not for a301-07" in pc.server.reports[-1]["message"]


def _check_start_files(pc: Pc, folder: Path) -> None:
    """The BCD on the EFI partition names this disk and the partition of the Windows."""
    efi, copy = partition(pc, "LABBOOT"), folder / "BCD"
    command = ["mcopy", "-n", "-i", str(efi), "::/EFI/Microsoft/Boot/BCD", str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    told = subprocess.run(["sfdisk", "--json", str(pc.disk)], check=True, capture_output=True).stdout
    table = json.loads(told)["partitiontable"]
    part = next(part for part in table["partitions"] if part.get("name") == "windows-lab-system")
    named = bcd.partition_of(bytes(value_of(copy, ELEMENT, "Element")))
    assert named == (uuid.UUID(part["uuid"]), uuid.UUID(table["id"]))
