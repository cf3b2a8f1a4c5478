"""Recipes: what fits, and what is said of what does not. `lab rooms check` looks at them with everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.errors import UsageError
from lab_tool.imaging.build.debian import packages_of, uuid_of
from lab_tool.imaging.build.recipe import load_recipe
from lab_tool.school.problem import InventoryError
from lab_tool.school.vars_files import check_other_files
from lab_tool.settings import PROJECT

GOOD = """---
image: debian-lab
title: {zh: 机房, en: Lab}
family: linux
from:
  debian: {suite: bookworm, components: [main, non-free-firmware]}
packages: [firefox-esr]
firmware: [firmware-realtek]
system: {fs: ext4, size_mib: 4096}
swap_mib: 512
"""
WIM = "from:\n  wim: {file: /srv/windows.wim, index: 6, esp: /srv/efi}"
DEBIAN = "from:\n  debian: {suite: bookworm, components: [main, non-free-firmware]}"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path


def put(inventory: Path, text: str, name: str = "debian_lab.yml") -> Path:
    (inventory / "images" / name).write_text(text, encoding="utf-8")
    return inventory


def test_a_recipe_by_the_name_of_its_image_or_of_its_file(inventory: Path) -> None:
    put(inventory, GOOD)
    for name in ("debian-lab", "debian_lab"):
        recipe = load_recipe(inventory, name)
        assert recipe.shape.image == "debian-lab"
        assert recipe.title == "机房 / Lab"
        assert {"firefox-esr", "firmware-realtek", "linux-image-amd64", "openssh-server"} <= set(packages_of(recipe))


def test_the_school_s_own_example_is_one() -> None:
    assert load_recipe(PROJECT / "inventory", "debian-lab").system.fs == "ext4"


def test_an_unknown_one_is_refused_with_the_nearest(inventory: Path) -> None:
    put(inventory, GOOD)
    with pytest.raises(UsageError, match="debian_lab"):
        load_recipe(inventory, "debian-labs")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("image: debian-lab", "image: debian-pcs", 2, "Call the file debian_pcs.yml"),
        ("image: debian-lab", "image: '{{ x }}'", 2, "template text"),
        ("[firefox-esr]", "['firefox; reboot']", 7, "shell text"),
        ("[firefox-esr]", "[--force-yes]", 7, "the name of a package"),
        ("suite: bookworm", "suite: ../evil", 6, "suite"),
        ("non-free-firmware", "other", 6, "unknown from.debian.components.1"),
        (DEBIAN, f"{DEBIAN}\n  disk: {{file: a.img}}", 5, "exactly one of debian, wim, disk"),
        (DEBIAN, WIM, 4, "a WIM is of the family windows"),
        (DEBIAN, WIM, 7, "packages go into images made from debian only"),
        ("family: linux", "family: windows", 4, "Debian is of the family linux"),
        ("fs: ext4", "fs: ntfs", 9, "Windows lies on ntfs, and nothing else does"),
        ("fs: ext4", "fs: zfs", 9, "unknown system.fs"),
        ("size_mib: 4096", "size_mib: 8", 9, "at least 64"),
        ("swap_mib: 512", "swapp_mib: 512", 10, "Did you mean 'swap_mib'?"),
        ("system: {fs: ext4, size_mib: 4096}\n", "", 1, "'system' is missing"),
    ],
)
def test_what_does_not_fit_is_said_where_it_stands(inventory: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    put(inventory, GOOD.replace(old, new))
    with pytest.raises(InventoryError) as caught:
        load_recipe(inventory, "debian-lab")
    assert any(words in str(problem) and problem.line == line for problem in caught.value.problems), caught.value
    assert set(caught.value.problems) == {
        problem for problem in check_other_files(inventory, "inventory", None) if "images" in problem.file
    }


def test_the_inventory_s_check_refuses_strangers_and_links(inventory: Path) -> None:
    put(inventory, GOOD)
    put(inventory, GOOD, "Debian.yaml")
    (inventory / "images" / "linked.yml").symlink_to("debian_lab.yml")
    (inventory / "images" / ".hidden.swp").write_text("")
    found = {problem.file: problem.what for problem in check_other_files(inventory, "inventory", None)}
    assert found == {"inventory/images/Debian.yaml": "not a recipe", "inventory/images/linked.yml": "a symbolic link"}


def test_ids_of_file_systems_are_the_same_for_each_version_and_other_for_each_image() -> None:
    ids = {uuid_of(image, part) for image in ("debian-lab", "exam-lab") for part in ("system", "swap")}
    assert len(ids) == 4
    assert uuid_of("debian-lab", "system") in ids
