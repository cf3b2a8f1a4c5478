"""A recipe becomes an image, for real: packages, roles, kernel; made again it has the same cells, and nobody's secrets.

What starts on a virtual PC is looked at in tests/vm; here it is the file system that is looked at.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.api import build
from lab_tool.imaging.store.draft import Draft
from lab_tool.imaging.store.reading import read_cell, used_of, wanted_cells
from lab_tool.imaging.store.store import Store
from lab_tool.settings import Settings
from tests.support.small_image import codename

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("partclone.ext4"), reason="needs partclone, e2fsprogs, rsync"),
]
ROLE = """---
- name: Linux | Install a package
  ansible.builtin.apt:
    name: file
    update_cache: true
    install_recommends: false
- name: Linux | Write what the school says
  ansible.builtin.copy:
    dest: /etc/lab-demo
    content: "{{ lab_demo_words }}\\n"
    mode: "0644"
- name: Linux | Keep a service from starting on PCs
  ansible.builtin.systemd_service:
    name: e2scrub_all.timer
    enabled: false
"""


@dataclass(frozen=True, slots=True)
class School:
    """A project with one role of its own, and an inventory with one recipe."""

    settings: Settings

    def write(self, roles: list[str]) -> None:
        """Write the recipe."""
        recipe = {
            "image": "debian-lab",
            "title": {"zh": "机房", "en": "Lab"},
            "family": "linux",
            "from": {"debian": {"suite": codename()}},
            "kernel": "linux-image-cloud-amd64",
            "system": {"fs": "ext4", "size_mib": 1024},
            "swap_mib": 64,
            "roles": roles,
        }
        path = self.settings.inventory / "images/debian_lab.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(recipe), encoding="utf-8")

    @property
    def store(self) -> Store:
        """An empty one."""
        return Store(self.settings.state / "images")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    folder = tmp_path_factory.mktemp("school")
    for name, text in (
        ("project/roles/lab_demo/tasks/main.yml", ROLE),
        ("project/roles/lab_broken/tasks/main.yml", "---\n- name: Fail\n  ansible.builtin.command: /bin/false\n"),
        ("inventory/group_vars/all.yml", "lab_demo_words: term starts\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return School(Settings(folder / "project", folder / "inventory", folder / "state"))


@pytest.fixture(scope="module")
def twice(school: School) -> Iterator[tuple[Draft, Draft]]:
    """The image of the recipe, made two times."""
    school.write(["lab_demo"])
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(build(school.settings, school.store, "debian-lab", changes="first")) for _ in range(2)
        )
        yield one, other


def cells(draft: Draft) -> dict[int, bytes]:
    """Those of its system."""
    part = draft.partitions[0]
    assert part.device
    with part.device.open("rb") as opened:
        return {cell.number: read_cell(opened.fileno(), cell) for cell in wanted_cells(used_of(part))}


def test_made_again_it_is_the_same_image(twice: tuple[Draft, Draft]) -> None:
    one, other = twice
    assert one.contents == other.contents
    assert one.source == other.source
    assert cells(one) == cells(other)


def test_it_has_what_a_pc_needs_to_start_and_to_be_reached(twice: tuple[Draft, Draft]) -> None:
    draft, _ = twice
    files, packages = draft.contents["files"], draft.contents["packages"]
    assert {"openssh-server", "python3", "python3-apt", "sudo", "systemd-sysv"} <= set(packages)
    for name in ("/vmlinuz", "/initrd.img"):
        assert files[name].startswith("120777")
    assert f"/boot/vmlinuz-{draft.release['kernel']}" in files
    assert "/etc/systemd/system/multi-user.target.wants/ssh.service" in files
    assert [(part.name, part.fs, part.grows) for part in draft.partitions] == [
        ("system", "ext4", True),
        ("swap", "swap", False),
    ]


def test_it_has_nobody_s_identity_and_no_trace_of_this_machine(twice: tuple[Draft, Draft]) -> None:
    files = twice[0].contents["files"]
    assert not [path for path in files if "ssh_host_" in path or path.startswith("/root/.ansible")]
    # A link of systemd's to its documentation.
    assert [path for path in files if path.startswith("/var/log/")] == ["/var/log/README"]
    assert files["/etc/machine-id"].split()[1] == "0"
    assert "/etc/apt/apt.conf.d/99mmdebstrap" not in files
    assert not [path for path in files if "lab-build" in path or path.endswith("/policy-rc.d")]


def test_its_roles_have_run_in_it(twice: tuple[Draft, Draft]) -> None:
    draft, _ = twice
    assert "file" in draft.contents["packages"]
    assert draft.contents["files"]["/etc/lab-demo"].split()[1] == str(len("term starts\n"))
    assert "/etc/systemd/system/timers.target.wants/e2scrub_all.timer" not in draft.contents["files"]


@pytest.mark.parametrize(
    ("role", "words"), [("lab_broken", "failed in the image"), ("lab_unknown", "there is no role lab_unknown")]
)
def test_a_role_that_fails_makes_no_image(school: School, role: str, words: str) -> None:
    school.write([role])
    work = school.settings.state / "image-work"
    # Those of the other tests' images.
    before = set(work.iterdir()) if work.exists() else set()
    with pytest.raises(LabError, match=words), build(school.settings, school.store, "debian-lab", changes="none"):
        pass
    assert {path for path in work.iterdir() if path.name != "lock"} <= before
