"""Whole disks become images: which partitions, and what is refused. The disk itself is never changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.build.api import import_disk
from lab_tool.imaging.build.inside import look_through
from lab_tool.settings import PROJECT, Settings
from tests.unit.imaging.build.conftest import MIB, UUID, MakeTree, builders_only, disk, ext4, noise, sh

pytestmark = builders_only
LINUX, SWAP = "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
EFI, GRUB = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "21686148-6449-6E6F-744E-656564454649"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(PROJECT, tmp_path / "inventory", tmp_path / "state")


@pytest.fixture
def swap(tmp_path: Path) -> Path:
    file = tmp_path / "swap"
    file.touch()
    os.truncate(file, 8 * MIB)
    sh("mkswap", file)
    return file


@pytest.fixture
def efi(tmp_path: Path) -> Path:
    file = tmp_path / "efi"
    file.touch()
    os.truncate(file, 40 * MIB)
    sh("mkfs.vfat", "-F", "32", file)
    return file


@pytest.mark.parametrize("form", ["gpt", "dos", "qcow2"])
def test_a_linux_and_its_swap(
    tree: MakeTree, tmp_path: Path, settings: Settings, swap: Path, efi: Path, form: str
) -> None:
    system = ext4(tree(), tmp_path / "system")
    gpt = [(GRUB, None, 1), (EFI, efi, 40), (LINUX, system, 64), (SWAP, swap, 8)]
    path = (
        disk(tmp_path / "disk", "gpt", gpt)
        if form != "dos"
        else disk(tmp_path / "disk", "dos", [("ef", efi, 40), ("83", system, 64), ("82", swap, 8)])
    )
    if form == "qcow2":
        sh("qemu-img", "convert", "-O", "qcow2", path, tmp_path / "disk.qcow2")
        path = tmp_path / "disk.qcow2"
    before = hashlib.sha256(path.read_bytes()).digest()
    with import_disk(settings, path, "debian-old", changes="from the old lab") as draft:
        assert (draft.family, draft.kind, draft.release["id"]) == ("linux", "import", "debian")
        assert draft.contents["packages"] == {"bash": "5.2"}
        assert not [name for name in draft.contents["files"] if "ssh_host" in name]
        root, other = draft.partitions
        assert (root.name, root.fs, root.size, root.grows, root.uuid) == ("system", "ext4", 64 * MIB, True, UUID)
        assert (other.fs, other.size, other.device) == ("swap", 8 * MIB, None)
        assert root.device
        sh("e2fsck", "-fn", root.device)
        assert look_through(root.device, "ext4", cleaning=False).files == draft.contents["files"]
        assert draft.esp is None
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert [path.name for path in (settings.state / "image-work").iterdir()] == ["lock"]


def test_partitions_of_their_own_come_along(tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
    system, home = ext4(tree(), tmp_path / "system"), tmp_path / "home"
    (tmp_path / "people/student").mkdir(parents=True)
    ext4(tmp_path / "people", home, 16 * MIB)
    sh("tune2fs", "-U", "random", home)
    path = disk(tmp_path / "disk", "gpt", [(LINUX, home, 16), (LINUX, system, 64)])
    with import_disk(settings, path, "debian-old") as draft:
        assert [(part.name, part.grows) for part in draft.partitions] == [("part-1", False), ("system", True)]


class TestRefused:
    def test_no_system(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "files").mkdir()
        path = disk(tmp_path / "disk", "gpt", [(LINUX, ext4(tmp_path / "files", tmp_path / "system"), 64)])
        with pytest.raises(LabError, match="no operating system"), import_disk(settings, path, "debian-old"):
            pass

    def test_two_of_them(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        system = ext4(tree(), tmp_path / "system")
        path = disk(tmp_path / "disk", "gpt", [(LINUX, system, 64), (LINUX, system, 64)])
        with pytest.raises(LabError, match="2 operating systems"), import_disk(settings, path, "debian-old"):
            pass

    def test_a_kernel_elsewhere(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        root = tree()
        (root / "initrd.img").unlink()
        path = disk(tmp_path / "disk", "gpt", [(LINUX, ext4(root, tmp_path / "system"), 64)])
        with pytest.raises(LabError, match="not on its root partition"), import_disk(settings, path, "debian-old"):
            pass

    def test_a_private_key(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        root = tree()
        (root / "etc/tls.key").write_text("-----BEGIN PRIVATE KEY-----\n")
        path = disk(tmp_path / "disk", "gpt", [(LINUX, ext4(root, tmp_path / "system"), 64)])
        with pytest.raises(RefusedError) as caught, import_disk(settings, path, "debian-old"):
            pass
        assert caught.value.where == "/etc/tls.key"

    def test_one_that_was_not_shut_down(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        system = ext4(tree(), tmp_path / "system")
        sh("debugfs", "-w", "-R", "feature needs_recovery", system)
        path = disk(tmp_path / "disk", "gpt", [(LINUX, system, 64)])
        with pytest.raises(LabError, match="not put away clean"), import_disk(settings, path, "debian-old"):
            pass

    def test_what_nobody_knows(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "noise").write_bytes(noise(5, MIB))
        system = ext4(tree(), tmp_path / "system")
        path = disk(tmp_path / "disk", "gpt", [(LINUX, system, 64), (LINUX, tmp_path / "noise", 4)])
        with pytest.raises(LabError, match="nothing that is known"), import_disk(settings, path, "debian-old"):
            pass

    def test_a_disk_that_reads_another_file(self, tree: MakeTree, tmp_path: Path, settings: Settings) -> None:
        path = disk(tmp_path / "disk", "gpt", [(LINUX, ext4(tree(), tmp_path / "system"), 64)])
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "raw", tmp_path / "top.qcow2")
        with (
            pytest.raises(LabError, match="it names another file"),
            import_disk(settings, tmp_path / "top.qcow2", "debian-old"),
        ):
            pass

    def test_no_partition_table(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "disk").write_bytes(bytes(MIB))
        with pytest.raises(LabError, match="partition table"), import_disk(settings, tmp_path / "disk", "debian-old"):
            pass


@pytest.mark.parametrize("name", ["Lab", "a b", "../x", "", "a" * 64])
def test_a_name_that_no_image_can_have_is_told_before_the_disk_is_read(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="can't be an image's name"), import_disk(settings, tmp_path / "none", name):
        pass
