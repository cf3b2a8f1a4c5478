"""Real WIM files that are no image for PCs, each refused with what is wrong and what to do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab_tool.errors import LabError
from lab_tool.imaging.build import api
from lab_tool.imaging.build.wim import draft_of_wim, read_wim
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.store.draft import Draft
from lab_tool.imaging.store.store import Store
from lab_tool.settings import Settings
from tests.integration.windows_disk import read_file
from tests.integration.windows_fixtures import tools
from tests.support.windows import make_wim, make_windows

__all__ = ["tools"]
pytestmark = pytest.mark.hosts
MIB = 1024 * 1024


def wim(folder: Path, change: Callable[[Path], object] = lambda root: None, **tree: str) -> Path:
    """A WIM of a tree, after a change to it."""
    make_windows(folder / "tree", **tree)
    change(folder / "tree")
    return make_wim(folder / "tree", folder / "lab.wim")


def draft(file: Path, size: int = 32 * MIB, index: int = 1) -> Draft:
    """The draft of an image of it."""
    work = file.parent / "work"
    work.mkdir(exist_ok=True)
    return draft_of_wim(file, index, work, name="windows-lab", title="Windows", size=size)


def test_what_the_wim_says_of_itself_becomes_part_of_the_image(tmp_path: Path) -> None:
    file = wim(tmp_path)
    for name, value in {
        "WINDOWS/ARCH": "9",
        "WINDOWS/VERSION/MAJOR": "10",
        "WINDOWS/VERSION/MINOR": "0",
        "WINDOWS/VERSION/BUILD": "22631",
        "WINDOWS/VERSION/SPBUILD": "3007",
        "WINDOWS/LANGUAGES/LANGUAGE": "zh-CN",
    }.items():
        _set(file, f"{name}={value}")
    made = draft(file)
    assert made.family == "windows"
    assert made.release["version"] == "10.0.22631.3007"
    assert made.release["edition"] == "Education"
    assert made.release["languages"] == "zh-CN"
    assert made.contents["packages"] == {"windows": "10.0.22631.3007"}
    files = made.contents["files"]
    assert {"/Windows/System32/config/SOFTWARE", "/Windows/课件.txt", "/Users/Default/NTUSER.DAT"} <= set(files)
    assert files["/Windows/System32/OpenSSH/sshd.exe"].split()[1] == "7"
    assert made.source["wim"] == "lab.wim" and len(made.source["sha256"]) == 64
    part = made.partitions[0]
    assert (part.name, part.fs, part.grows, part.size) == ("system", "ntfs", True, 32 * MIB)
    assert part.used and part.used[0][0] == 0 and part.used[-1][1] == part.size


def test_two_versions_have_the_same_volume_id_and_two_images_have_not(tmp_path: Path) -> None:
    file = wim(tmp_path)
    made = draft(file)
    told = subprocess.run(
        ["blkid", "-o", "value", "-s", "UUID", str(made.partitions[0].device)], check=True, capture_output=True
    )
    assert told.stdout.decode().strip() == made.partitions[0].uuid
    assert draft(file).partitions[0].uuid == made.partitions[0].uuid
    other = draft_of_wim(file, 1, tmp_path / "work", name="windows-exam", title="", size=32 * MIB)
    assert other.partitions[0].uuid != made.partitions[0].uuid


@pytest.mark.parametrize("state", ["IMAGE_STATE_COMPLETE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", ""])
def test_a_windows_that_was_not_generalised_is_refused(tmp_path: Path, state: str) -> None:
    with pytest.raises(LabError, match="not prepared for copies") as error:
        draft(wim(tmp_path, state=state))
    assert "sysprep /generalize /oobe" in error.value.next_command


@pytest.mark.parametrize(
    "path", ["Windows/System32/OpenSSH/sshd.exe", "Windows/System32/config/SOFTWARE", "Windows/System32/config/SYSTEM"]
)
def test_without_ssh_or_registry_it_is_no_windows_for_pcs(tmp_path: Path, path: str) -> None:
    with pytest.raises(LabError, match=path):
        draft(wim(tmp_path, lambda root: (root / path).unlink()))


def test_a_registry_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="its state is unknown"):
        draft(wim(tmp_path, lambda root: (root / "Windows/System32/config/SOFTWARE").write_bytes(b"rubbish" * 999)))


def test_another_processor_is_refused(tmp_path: Path) -> None:
    file = wim(tmp_path)
    _set(file, "WINDOWS/ARCH=12")
    with pytest.raises(LabError, match="not for 64-bit PCs"):
        draft(file)


def test_no_such_image_and_no_such_file(tmp_path: Path) -> None:
    file = wim(tmp_path)
    with pytest.raises(LabError, match="no image 3; there are 1"):
        read_wim(file, 3)
    with pytest.raises(LabError, match="no such file"):
        read_wim(tmp_path / "other.wim", 1)
    (tmp_path / "other.wim").write_bytes(b"rubbish" * 999)
    with pytest.raises(LabError, match="can't be read"):
        read_wim(tmp_path / "other.wim", 1)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    file = wim(tmp_path, lambda root: (root / "large").write_bytes(os.urandom(4 * MIB)))
    with file.open("r+b") as opened:
        opened.seek(2 * MIB)
        byte = opened.read(1)
        opened.seek(2 * MIB)
        opened.write(bytes([byte[0] ^ 1]))
    with pytest.raises(LabError, match=r"lab\.wim"):
        draft(file)


def test_a_partition_that_is_too_small_is_said_so(tmp_path: Path) -> None:
    file = wim(tmp_path, lambda root: (root / "large").write_bytes(os.urandom(12 * MIB)))
    with pytest.raises(LabError, match=r"in a partition of 8 MiB(.|\n)*No space left"):
        draft(file, size=8 * MIB)


def test_drivers_without_an_inf_are_refused(tmp_path: Path) -> None:
    file = wim(tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "setup.exe").write_bytes(b"MZ")
    with pytest.raises(LabError, match="no driver package"):
        draft_of_wim(
            file,
            1,
            tmp_path / "work",
            name="windows-lab",
            title="",
            size=32 * MIB,
            drivers=tmp_path / "drivers",
        )


def test_a_recipe_names_wim_start_files_and_drivers(tmp_path: Path) -> None:
    recipes = tmp_path / "inventory" / "images"
    recipes.mkdir(parents=True)
    wim(recipes)
    boot = recipes / "esp" / "EFI" / "Microsoft" / "Boot"
    boot.mkdir(parents=True)
    for name in ("bootmgfw.efi", "BCD"):
        (boot / name).write_bytes(name.encode())
    (recipes / "drivers").mkdir()
    (recipes / "drivers" / "card.inf").write_text("[Version]")
    recipe = {
        "image": "windows-lab",
        "title": {"zh": "机房", "en": "Lab"},
        "family": "windows",
        "from": {"wim": {"file": "lab.wim", "esp": "esp", "drivers": "drivers"}},
        "system": {"fs": "ntfs", "size_mib": 64},
    }
    (recipes / "windows_lab.yml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    settings = Settings.from_environment({"LAB_INVENTORY": str(recipes.parent), "LAB_STATE": str(tmp_path / "state")})
    with api.build(settings, Store(tmp_path / "images"), "windows-lab") as made:
        assert made.esp is not None and made.esp.is_file()
        device = made.partitions[0].device
        assert device is not None
        assert read_file(device, "Lab/Drivers/card.inf") == b"[Version]"
        assert ntfs.volume_size(device) == 64 * MIB - 512
    (boot / "BCD").unlink()
    with pytest.raises(LabError, match="start no Windows"), api.build(settings, Store(tmp_path), "windows-lab"):
        pass


def _set(file: Path, fact: str) -> None:
    """Write a fact into the WIM's description of its image."""
    command = ["wimlib-imagex", "info", str(file), "1", f"--image-property={fact}"]
    subprocess.run(command, check=True, capture_output=True)
