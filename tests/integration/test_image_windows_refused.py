"""What is no fit Windows, disk or order is refused, and left as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.deploy.answers import ONE_TIME_PASSWORD
from lab_tool.imaging.deploy.personal_windows import personalise
from tests.integration.windows_disk import (
    MIB,
    SOFTWARE,
    SYSTEM,
    fill_up,
    read_file,
    sound,
    write_file,
)
from tests.integration.windows_fixtures import altered, build, disk, folder, image, put_hive, tools
from tests.support.windows import (
    STATE,
    dword,
    text,
)
from tests.support.windows_order import order, policy

__all__ = ["disk", "folder", "image", "tools"]
pytestmark = pytest.mark.hosts


def test_a_windows_that_sleeps_is_left_alone(disk: Path) -> None:
    write_file(disk, "hiberfil.sys", b"hibr".ljust(4096, b"\0"))
    before = read_file(disk, SYSTEM)
    with pytest.raises(LabError, match="hibernated or was put to sleep"):
        personalise(disk, order(), {})
    with pytest.raises(LabError, match="can only be read"), ntfs.mounted(disk):
        pass
    assert read_file(disk, SYSTEM) == before


def test_a_windows_that_wants_its_disk_checked_is_left_alone(disk: Path) -> None:
    # A resized volume is marked by ntfsresize, as by a Windows that crashed.
    subprocess.run(["ntfsresize", "-ff", "--size", str(200 * MIB), str(disk)], check=True, capture_output=True)
    with pytest.raises(LabError, match="marked it for a check"):
        personalise(disk, order(), {})


def test_a_damaged_file_table_is_left_alone(disk: Path) -> None:
    with disk.open("r+b") as opened:
        opened.seek(4 * 4096)
        opened.write(b"\xa5" * 8192)
    with pytest.raises(LabError, match=r"damaged|can't be mounted"):
        personalise(disk, order(), {})


def test_a_hive_whose_changes_are_still_in_its_log_is_left_alone(folder: Path) -> None:
    def change(root: Path) -> None:
        with (root / SOFTWARE).open("r+b") as opened:
            opened.seek(4)
            opened.write((77).to_bytes(4, "little"))

    with pytest.raises(LabError, match="not put away"):
        personalise(altered(folder, change), order(), {})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: (root / SOFTWARE).unlink(), "no such registry hive"),
        (lambda root: (root / SYSTEM).write_bytes(b"rubbish"), "no registry hive"),
        (lambda root: (root / "Windows/System32/OpenSSH/sshd.exe").unlink(), "no OpenSSH server"),
        (lambda root: put_hive(root / SYSTEM, {("Select", "Current"): dword(1)}), "no ControlSet001"),
        (lambda root: put_hive(root / SYSTEM, {(r"ControlSet001\Services\sshd", "Start"): dword(3)}), "control set"),
        (lambda root: put_hive(root / SOFTWARE, {(STATE, "ImageState"): text("IMAGE_STATE_COMPLETE")}), "COMPLETE"),
    ],
)
def test_what_is_no_windows_for_pcs_is_refused(folder: Path, change: Callable[[Path], None], told: str) -> None:
    with pytest.raises(LabError, match=told):
        personalise(altered(folder, change), order(), {})


def test_a_full_file_system_leaves_the_registry_as_it_was(folder: Path) -> None:
    part = build(folder).partitions[0]
    assert part.device is not None
    before = read_file(part.device, SOFTWARE)
    fill_up(part.device, 16 * 4096)
    many = [policy("SOFTWARE", rf"Lab\{number}", "long", "string", "x" * 9_000) for number in range(20)]
    with pytest.raises(LabError, match="can't be written: No space left"):
        personalise(part.device, order(policies=many), {})
    assert read_file(part.device, SOFTWARE) == before
    assert sound(part.device)


def test_a_hive_that_loses_a_value_is_noticed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab_tool.imaging.deploy.hive.Hive.store", lambda hive: 0)
    with pytest.raises(LabError, match="did not stay"):
        personalise(disk, order(), {})


@pytest.mark.parametrize(
    ("replace", "by", "told"),
    [
        ("<ComputerName>a301-07<", "<ComputerName>a301-08<", "for a301-08, not for a301-07"),
        (ONE_TIME_PASSWORD, "secret", "exactly one password"),
        ("<TimeZone>", "<ProductKey>AAAAA-BBBBB</ProductKey><TimeZone>", "ProductKey"),
    ],
)
def test_an_answer_file_that_is_not_for_here_stops_before_anything_is_written(
    disk: Path, replace: str, by: str, told: str
) -> None:
    size = ntfs.volume_size(disk)
    answers = order().personal.unattend.replace(replace, by)
    with pytest.raises(LabError, match=told) as error:
        personalise(disk, order(answers=answers), {})
    assert "AAAAA" not in str(error.value)
    assert ntfs.volume_size(disk) == size
