"""The inventory's files of versions: who gets what, as Ansible itself reads them, and nothing else gets lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab_tool.errors import UsageError
from lab_tool.imaging.store.rings import Versions, read_versions, write_versions
from lab_tool.school.load import load_school
from lab_tool.settings import PROJECT

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
CANARY, OTHER = "a301-01", "a301-07"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """The shipped inventory, to be written to."""
    folder = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventory", folder)
    return folder


def seen(inventory: Path, *hosts: str) -> list[dict[str, Any]]:
    """The variables of hosts, as Ansible tells them."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "inventory", "--list", "-i", str(inventory / "site.yml")],
        env={**os.environ, "LAB_INVENTORY": str(inventory)},
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    variables = json.loads(done.stdout)["_meta"]["hostvars"]
    return [variables[host] for host in hosts]


def test_ansible_reads_what_was_written_and_all_that_was_there(inventory: Path) -> None:
    """A folder `all` hides `all.yml` from Ansible, in silence: what it holds must not be lost on the way."""
    before = seen(inventory, CANARY, OTHER)
    versions = Versions({}, {}).promoted("all", "debian-lab", ONE).promoted("canary", "debian-lab", TWO)
    assert write_versions(inventory, versions) == ["all.yml -> all/main.yml"]
    canary, other = seen(inventory, CANARY, OTHER)
    assert canary.pop("image_versions") == {"debian-lab": TWO}
    assert other.pop("image_versions") == {"debian-lab": ONE}
    assert [canary, other] == before
    assert read_versions(inventory) == versions
    load_school(inventory)


def test_written_again_nothing_moves(inventory: Path) -> None:
    versions = Versions({"debian-lab": ONE}, {"debian-lab": ONE})
    write_versions(inventory, versions)
    files = {path: path.stat().st_mtime_ns for path in (inventory / "group_vars").rglob("*")}
    assert write_versions(inventory, versions) == []
    assert {path: path.stat().st_mtime_ns for path in (inventory / "group_vars").rglob("*")} == files


def test_files_stay_text_that_a_school_accepts(inventory: Path) -> None:
    """Names and ids that YAML would take for something else, quoted."""
    versions = Versions({"on": "0" * 64, "1e3": ONE, "null": TWO}, {"on": "0" * 64, "1e3": ONE, "null": TWO})
    write_versions(inventory, versions)
    load_school(inventory)
    assert read_versions(inventory) == versions
    (host,) = seen(inventory, OTHER)
    assert host["image_versions"] == dict(versions.all)


def test_a_folder_and_a_file_of_one_group_are_refused(inventory: Path) -> None:
    """Ansible has been reading one of them only: which one was meant is for a person to say."""
    (inventory / "group_vars" / "all").mkdir()
    with pytest.raises(UsageError, match=r"move it there as main\.yml"):
        write_versions(inventory, Versions({"debian-lab": ONE}, {"debian-lab": ONE}))


def test_cut_off_between_folder_and_file_the_content_is_there(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(inventory, OTHER)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (_ for _ in ()).throw(InterruptedError()))
    with pytest.raises(InterruptedError):
        write_versions(inventory, Versions({"debian-lab": ONE}, {"debian-lab": ONE}))
    monkeypatch.undo()
    (now,) = seen(inventory, OTHER)
    now.pop("image_versions", None)
    assert [now] == before
    write_versions(inventory, Versions({"debian-lab": ONE}, {"debian-lab": ONE}))
    assert not (inventory / "group_vars" / "all.yml").exists()
    (now,) = seen(inventory, OTHER)
    assert now.pop("image_versions") == {"debian-lab": ONE}
    assert [now] == before


@pytest.mark.parametrize(
    "text",
    [
        "image_versions: {debian-lab: 17}",
        "image_versions: [debian-lab]",
        f"image_versions: {{Debian: '{ONE}'}}",
        f"image_versions: {{debian-lab: '{ONE}'}}\npatch_scope: full",
        "{",
        "",
    ],
)
def test_a_file_that_somebody_else_wrote_is_not_overwritten(inventory: Path, text: str) -> None:
    folder = inventory / "group_vars" / "ring_canary"
    folder.mkdir()
    (folder / "images.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"images\.yml"):
        read_versions(inventory)
    with pytest.raises(UsageError, match=r"images\.yml"):
        write_versions(inventory, Versions({"debian-lab": ONE}, {"debian-lab": ONE}))
    assert (folder / "images.yml").read_text(encoding="utf-8") == text


def test_canaries_get_what_all_get_but_for_what_is_tried() -> None:
    versions = Versions({}, {}).promoted("all", "debian-lab", ONE)
    assert versions.canary == {"debian-lab": ONE}
    trying = versions.promoted("canary", "debian-lab", TWO).promoted("all", "windows-lab", ONE)
    assert trying.all == {"debian-lab": ONE, "windows-lab": ONE}
    assert trying.canary == {"debian-lab": TWO, "windows-lab": ONE}
    # Another one for all does not end what is tried; once all have that, canaries go with all again.
    assert trying.promoted("all", "debian-lab", THREE).canary["debian-lab"] == TWO
    settled = trying.promoted("all", "debian-lab", TWO)
    assert settled.promoted("all", "debian-lab", ONE).canary["debian-lab"] == ONE


def test_the_first_of_a_name_may_go_to_canaries_alone(inventory: Path) -> None:
    versions = Versions({}, {}).promoted("canary", "debian-lab", ONE)
    assert write_versions(inventory, versions) == []
    assert (inventory / "group_vars" / "all.yml").is_file()
    canary, other = seen(inventory, CANARY, OTHER)
    assert canary["image_versions"] == {"debian-lab": ONE}
    assert "image_versions" not in other
