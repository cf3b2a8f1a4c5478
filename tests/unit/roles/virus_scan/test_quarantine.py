"""Putting files away and giving them back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan import quarantine
from lab_tool.plugins.module_utils.lab_virus_scan.quarantine import QuarantineError, Record
from lab_tool.plugins.module_utils.lab_virus_scan.walk import FILE, FOLDER, Place


def inside(folder: str | Path) -> list[str]:
    """Names in a folder."""
    return sorted(path.name for path in Path(folder).iterdir())


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may own what is closed to everybody")
TIME = "2026-11-24T10:00:00Z"


class Scene:
    """A file in somebody's folder, as a walk has listed and opened it."""

    def __init__(self, folder: Path) -> None:
        self.quarantine = str(folder / "quarantine")
        self.file = folder / "home" / os.fsdecode(b"vi\xffrus\n")
        self.file.parent.mkdir()
        self.file.write_bytes(b"bad")
        self.file.chmod(0o4750)
        os.chown(self.file, 1000, 1001)
        os.utime(self.file, (1000, 2000))
        self.file.chmod(0o4750)
        path = os.fsencode(self.file)
        above = os.open(self.file.parent, FOLDER)
        self.place = Place(above, path.rpartition(b"/")[2], path, ())
        self.descriptor = os.open(self.place.name, FILE, dir_fd=above)

    def put(self) -> Record:
        return quarantine.put(self.place, self.descriptor, "Eicar", TIME, self.quarantine)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One file."""
    made = Scene(tmp_path)
    yield made
    os.close(made.descriptor)
    os.close(made.place.folder)


def test_there_and_back(scene: Scene) -> None:
    record = scene.put()
    assert not scene.file.exists()
    kept = Path(scene.quarantine, record.id)
    assert (kept.stat().st_mode & 0o7777, Path(scene.quarantine).stat().st_mode & 0o777) == (0, 0o700)
    assert quarantine.records(scene.quarantine) == [record]
    assert quarantine.trouble(record, scene.quarantine) == ""
    assert json.dumps(record.as_json(), ensure_ascii=False).encode()

    assert quarantine.restore(record.id, scene.quarantine, dry=True) == record
    assert not scene.file.exists()
    back = quarantine.restore(record.id, scene.quarantine)
    status = scene.file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_mtime) == (1000, 1001, 0o4750, 2000)
    assert scene.file.read_bytes() == b"bad"
    assert inside(scene.quarantine) == []
    assert quarantine.misplaced(back.as_restored(), scene.quarantine) == ""
    scene.file.chmod(0o755)
    assert quarantine.misplaced(back.as_restored(), scene.quarantine) == "it has another owner or mode"


def test_the_same_again_takes_no_more_room(scene: Scene) -> None:
    first = scene.put()
    scene.file.write_bytes(b"bad")
    os.close(scene.descriptor)
    scene.descriptor = os.open(scene.place.name, FILE, dir_fd=scene.place.folder)
    assert scene.put().id == first.id
    assert len(inside(scene.quarantine)) == 2


def test_a_file_swapped_meanwhile_is_not_taken_for_the_find(scene: Scene) -> None:
    moved = scene.file.with_name("moved")
    scene.file.rename(moved)
    scene.file.write_bytes(b"innocent")
    with pytest.raises(QuarantineError, match="somebody put another file in its place"):
        scene.put()
    assert scene.file.read_bytes() == b"innocent"
    # The find itself is closed wherever it went.
    assert (moved.stat().st_mode & 0o7777, moved.stat().st_uid) == (0, 0)


def test_a_link_put_in_its_place_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"innocent")
    scene.file.unlink()
    scene.file.symlink_to(target)
    with pytest.raises(QuarantineError):
        scene.put()
    assert target.read_bytes() == b"innocent" and scene.file.is_symlink()


def test_a_full_disk_is_told_and_the_file_closed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "RESERVE", 2**62)
    with pytest.raises(QuarantineError, match=r"No space left on device \(closed to everybody where it is\)"):
        scene.put()
    assert scene.file.stat().st_mode & 0o7777 == 0
    assert inside(scene.quarantine) == []


def test_nothing_is_written_over(scene: Scene) -> None:
    record = scene.put()
    scene.file.write_bytes(b"newer")
    for dry in (True, False):
        with pytest.raises(QuarantineError, match="there is a file of that name now"):
            quarantine.restore(record.id, scene.quarantine, dry=dry)
    assert scene.file.read_bytes() == b"newer"
    scene.file.unlink()
    scene.file.symlink_to("/nowhere")
    with pytest.raises(QuarantineError, match="there is a file of that name now"):
        quarantine.restore(record.id, scene.quarantine)
    assert quarantine.trouble(record, scene.quarantine) == ""


def test_a_folder_that_became_a_link_is_not_written_into(scene: Scene, tmp_path: Path) -> None:
    record = scene.put()
    scene.file.parent.rename(tmp_path / "away")
    (tmp_path / "home").symlink_to(tmp_path / "away")
    with pytest.raises(QuarantineError, match="its folder is gone"):
        quarantine.restore(record.id, scene.quarantine)
    assert inside(tmp_path / "away") == []


def test_another_content_is_not_given_back(scene: Scene) -> None:
    record = scene.put()
    Path(scene.quarantine, record.id).write_bytes(b"worse")
    with pytest.raises(QuarantineError, match="its content has changed"):
        quarantine.restore(record.id, scene.quarantine)
    assert not scene.file.exists()


@pytest.mark.parametrize("wanted", ["q-000000000000", "../etc/passwd", "", "q-1", "q-00000000000g"])
def test_an_unknown_id_is_refused(scene: Scene, wanted: str) -> None:
    scene.put()
    with pytest.raises(QuarantineError, match="there is no"):
        quarantine.restore(wanted, scene.quarantine)


def test_what_lies_open_is_not_safe(scene: Scene) -> None:
    record = scene.put()
    kept = Path(scene.quarantine, record.id)
    kept.chmod(0o644)
    assert quarantine.trouble(record, scene.quarantine) == "it is not closed to everybody"
    kept.unlink()
    assert quarantine.trouble(replace(record), scene.quarantine) == "No such file or directory"
