"""Deleting what is old, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan import tidy
from lab_tool.plugins.module_utils.lab_virus_scan.sweep import Freed, Sweep, open_files
from lab_tool.plugins.module_utils.lab_virus_scan.tidy import ROTATED, Ages, Tidy

DAY = 86_400


def swept(folder: Path, *, dry: bool = False) -> Freed:
    """Sweep everything in it that nobody has open."""
    freed = Freed()
    Sweep(lambda name, status: not name.startswith("young"), open_files(), dry, freed).folder(str(folder))
    return freed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a hostile user would leave it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_bytes(b"x" * 9000)
    made = tmp_path / "tmp"
    for name in ("old", "a/old", "a/young", "b/old", "systemd-private-x/old"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"x" * 9000)
    (made / "link").symlink_to(tmp_path / "precious")
    (made / "b/link").symlink_to(tmp_path / "precious/file")
    os.mkfifo(made / "pipe")
    return made


@pytest.fixture
def deep(folder: Path) -> Iterator[Path]:
    """A folder in a folder in a folder ..."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    yield folder / "d"
    subprocess.run(["rm", "-rf", str(folder / "d")], check=True)


def left(folder: Path) -> list[str]:
    """What is there still."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_what_is_old_goes_and_no_link_leads_out(folder: Path) -> None:
    freed = swept(folder)
    assert left(folder) == ["a", "a/young", "pipe", "systemd-private-x", "systemd-private-x/old"]
    assert (folder.parent / "precious/file").stat().st_size == 9000
    assert freed.files == 5
    assert freed.size >= 3 * 9000


def test_no_depth_stops_it(folder: Path, deep: Path) -> None:
    """Else anybody with a shell keeps a PC from being tidied and scanned at all."""
    swept(folder)
    assert deep.exists()
    assert not (folder / "old").exists()


def test_a_rehearsal_counts_the_same_and_touches_nothing(folder: Path) -> None:
    before = left(folder)
    said = swept(folder, dry=True)
    assert left(folder) == before
    assert said == swept(folder)


def test_what_somebody_has_open_stays(folder: Path) -> None:
    with (folder / "old").open("rb"), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "b/socket"))
        swept(folder)
    assert {"old", "b/socket", "b"} <= set(left(folder))


def test_a_file_with_another_name_elsewhere_frees_nothing(folder: Path) -> None:
    os.link(folder / "old", folder.parent / "precious/other")
    for name in ("a/old", "b/old", "b/link", "link"):
        (folder / name).unlink()
    assert swept(folder).size == 0


def test_a_folder_of_everybody_in_it_is_left(folder: Path) -> None:
    (folder / "b").chmod(0o1777)
    swept(folder)
    assert "b/old" in left(folder)


def run(argv: Sequence[str]) -> tuple[int, str]:
    """No program is needed here."""
    return 0, ""


def tidied(monkeypatch: pytest.MonkeyPatch, home: Path, days: int, item: str) -> int:
    """How many files go of an item, so many days from now."""
    monkeypatch.setattr(tidy, "roots", lambda scope, paths: [str(home)])
    done = Tidy(run, Ages(10, 190, 30), int(time.time()) + days * DAY, dry=False).all([item])
    count: int = done["items"][item]["files"]
    return count


def test_trash_goes_by_when_it_was_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trash = tmp_path / "pupil/.local/share/Trash"
    (trash / "files/folder").mkdir(parents=True)
    (trash / "info").mkdir()
    for name in ("files/ancient", "files/folder/file", "info/ancient.trashinfo"):
        (trash / name).write_bytes(b"x")
        os.utime(trash / name, (0, 0))
    assert tidied(monkeypatch, tmp_path, 29, "trash") == 0
    assert tidied(monkeypatch, tmp_path, 31, "trash") == 3
    assert left(trash) == ["files", "info"]


def test_a_home_that_leads_elsewhere_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere/share/Trash/files").mkdir(parents=True)
    (tmp_path / "elsewhere/share/Trash/files/x").write_bytes(b"x")
    (tmp_path / "pupil").mkdir()
    (tmp_path / "pupil/.local").symlink_to(tmp_path / "elsewhere")
    assert tidied(monkeypatch, tmp_path, 99, "trash") == 0


@pytest.mark.parametrize("name", ["syslog.2.gz", "syslog.1", "dpkg.log.12.xz", "Xorg.0.log.old", "mail-20260101"])
def test_rotated_logs(name: str) -> None:
    assert ROTATED.fullmatch(name)


@pytest.mark.parametrize("name", ["syslog", "auth.log", ".gz", "1", "lastlog"])
def test_logs_in_use(name: str) -> None:
    assert not ROTATED.fullmatch(name)
