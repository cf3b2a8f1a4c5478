"""A Windows image from WIM to disk: real WIM, NTFS and hives; read back by others than who wrote them. None boots."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.wim import draft_of_wim
from lab_tool.imaging.deploy import ntfs
from lab_tool.imaging.deploy.answers import ONE_TIME_PASSWORD
from lab_tool.imaging.deploy.personal_windows import personalise
from lab_tool.imaging.orders.policies import windows_policies
from lab_tool.imaging.store.draft import Draft
from tests.integration.windows_disk import (
    SOFTWARE,
    SYSTEM,
    chntpw_value,
    loop_device,
    read_file,
    rights,
    sound,
    write_cells,
)
from tests.integration.windows_fixtures import IMAGE, LARGER, altered, build, disk, folder, image, put_hive, tools
from tests.support.windows import (
    dword,
    make_wim,
    make_windows,
    text,
    value_of,
    values_of,
)
from tests.support.windows_order import KEY, order, policy

__all__ = ["disk", "folder", "image", "tools"]
pytestmark = pytest.mark.hosts

WHOLE = "0x1f01ff"
SYSTEM_SID, ADMINISTRATORS, USERS = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545"


def test_cells_on_a_disk_of_the_same_size_are_a_sound_file_system(folder: Path, image: Draft) -> None:
    with loop_device(IMAGE, folder) as device:
        assert not sound(device)
        write_cells(image.partitions[0], device)
        assert sound(device)
        ntfs.inspect(device)
        assert not ntfs.grow(device)


def test_a_second_boot_sector_that_is_not_among_the_cells_is_noticed(folder: Path, image: Draft) -> None:
    part = image.partitions[0]
    with loop_device(IMAGE, folder) as device:
        write_cells(part, device)
        with device.open("r+b") as opened:
            opened.seek(IMAGE - 512)
            opened.write(b"\xa5" * 512)
        assert not sound(device)
        with pytest.raises(LabError, match="second boot sector"):
            ntfs.check_second_boot_sector(device)


def test_a_file_system_that_is_still_in_use_is_said_so_and_nothing_on_it_is_lost(disk: Path) -> None:
    with pytest.raises(LabError, match="can't be put away"), ntfs.mounted(disk) as root:
        kept = (root / SOFTWARE).open("rb")
    kept.close()
    assert not root.exists()
    assert read_file(disk, SOFTWARE).startswith(b"regf")


def test_a_larger_disk_is_filled_and_sound(disk: Path) -> None:
    assert ntfs.grow(disk)
    assert sound(disk)
    assert LARGER - 64 * 1024 < ntfs.volume_size(disk) < LARGER
    assert not ntfs.grow(disk)


def test_everything_is_read_back_by_others(disk: Path, folder: Path) -> None:
    lines = personalise(disk, order(), {"image": "0" * 64, "name": "windows-lab"})

    assert sound(disk)
    hives = {"SOFTWARE": read_file(disk, SOFTWARE), "SYSTEM": read_file(disk, SYSTEM)}
    _check_policies(hives, folder)
    answers = read_file(disk, "Windows/Panther/unattend.xml").decode()
    assert ONE_TIME_PASSWORD not in answers
    assert _password(answers).endswith("Password")
    assert read_file(disk, "ProgramData/ssh/administrators_authorized_keys").decode() == f"{KEY}\n"
    assert "PasswordAuthentication no" in read_file(disk, "ProgramData/ssh/sshd_config").decode()
    assert b'"windows-lab"' in read_file(disk, "ProgramData/lab/image.json")
    assert read_file(disk, "Windows/课件.txt").decode() == "名字不是ASCII"
    assert [line.split()[0] for line in lines] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    for kind, line in zip(("ed25519", "ecdsa", "rsa"), lines, strict=True):
        assert line in read_file(disk, f"ProgramData/ssh/ssh_host_{kind}_key.pub").decode()
    gone = ("ProgramData/ssh/ssh_host_dsa_key", "Windows/Panther/Unattend/Unattend.xml")
    for path in gone:
        assert subprocess.run(["ntfscat", str(disk), path], check=False, capture_output=True).returncode


def test_nobody_but_administrators_may_change_what_was_written(disk: Path) -> None:
    personalise(disk, order(), {})

    both = {SYSTEM_SID: WHOLE, ADMINISTRATORS: WHOLE}
    for path in (
        "Windows/Panther/unattend.xml",
        "ProgramData/ssh/administrators_authorized_keys",
        "ProgramData/ssh/ssh_host_ed25519_key",
    ):
        assert rights(disk, path) == both
    for path in ("ProgramData/lab/image.json", "ProgramData/ssh/sshd_config", "ProgramData/ssh"):
        assert rights(disk, path) == {**both, USERS: "0x1200a9"}


def test_a_second_time_changes_no_policy(disk: Path) -> None:
    personalise(disk, order(), {})
    before = [read_file(disk, path) for path in (SOFTWARE, SYSTEM)]
    personalise(disk, order(), {})
    assert [read_file(disk, path) for path in (SOFTWARE, SYSTEM)] == before


def test_two_pcs_of_one_image_share_no_secret(folder: Path, image: Draft) -> None:
    found = []
    for host in ("a301-07", "a301-08"):
        with loop_device(IMAGE, folder) as device:
            write_cells(image.partitions[0], device)
            lines = personalise(device, order(host), {})
            answers = read_file(device, "Windows/Panther/unattend.xml").decode()
            secret = read_file(device, "ProgramData/ssh/ssh_host_ed25519_key")
            assert f"<ComputerName>{host}</ComputerName>" in answers
            found.append({*lines, _password(answers), secret.decode()})
    assert not found[0] & found[1]


def test_folders_in_other_case_are_found_and_not_made_twice(folder: Path) -> None:
    part = build(folder, windows="WINDOWS", system32="system32").partitions[0]
    assert part.device is not None
    personalise(part.device, order(), {})
    system = read_file(part.device, "WINDOWS/system32/config/SYSTEM")
    assert value_of(system, r"ControlSet001\Services\USBSTOR", "Start") == 4
    with ntfs.mounted(part.device, write=False) as root:
        assert sorted(path.name for path in root.iterdir() if path.name.lower() == "windows") == ["WINDOWS"]
        assert (root / "WINDOWS" / "Panther" / "unattend.xml").exists()


def test_an_answer_file_that_windows_would_find_first_is_led_to_ours(folder: Path) -> None:
    def change(root: Path) -> None:
        values = {("Setup", "UnattendFile"): text("E:\\other.xml"), ("Select", "Current"): dword(2)}
        put_hive(root / SYSTEM, {**values, (r"ControlSet002\Services\sshd", "Start"): dword(3)})

    device = altered(folder, change)
    personalise(device, order(), {})
    system = read_file(device, SYSTEM)
    assert value_of(system, "Setup", "UnattendFile") == r"C:\Windows\Panther\unattend.xml"
    assert value_of(system, r"ControlSet002\Services\sshd", "Start") == 2


def test_every_type_of_value_and_keys_whose_parents_are_missing(disk: Path) -> None:
    chosen = [
        policy("SOFTWARE", r"Lab\a\b\c", "text", "string", "微机室"),
        policy("SOFTWARE", r"Lab\a\b\c", "path", "expand", r"%SystemRoot%\x"),
        policy("SOFTWARE", r"Lab\a\b\c", "list", "multi", "one\ntwo"),
        policy("SOFTWARE", r"Lab\a\b\c", "bytes", "binary", "00ff"),
        policy("SOFTWARE", r"Lab\a\b\c", "big", "qword", str(2**40)),
        policy("SOFTWARE", r"Lab\a\b\c", "", "string", "default"),
        policy("DEFAULT_USER", r"Software\Lab", "number", "dword", "7"),
    ]
    personalise(disk, order(policies=chosen), {})
    values = dict(values_of(read_file(disk, SOFTWARE), r"Lab\a\b\c"))
    assert values["text"] == "微机室"
    assert values["path"] == r"%SystemRoot%\x"
    assert values["list"] == ["one", "two"]
    assert values["big"] == 2**40
    assert "default" in values.values()
    assert value_of(read_file(disk, "Users/Default/NTUSER.DAT"), r"Software\Lab", "number") == 7


def test_drivers_come_along_and_only_administrators_may_change_them(folder: Path) -> None:
    drivers = folder / "drivers"
    (drivers / "net" / "intel").mkdir(parents=True)
    (drivers / "net" / "intel" / "e1d.inf").write_text("[Version]")
    (drivers / "net" / "intel" / "e1d.sys").write_bytes(b"MZ driver")
    make_windows(folder / "tree")
    (folder / "work").mkdir()
    wim = make_wim(folder / "tree", folder / "lab.wim")
    draft = draft_of_wim(wim, 1, folder / "work", name="windows-lab", title="", size=IMAGE, drivers=drivers)
    device = draft.partitions[0].device
    assert device is not None
    assert sound(device)
    assert read_file(device, "Lab/Drivers/net/intel/e1d.sys") == b"MZ driver"
    for path in ("Lab", "Lab/Drivers/net", "Lab/Drivers/net/intel/e1d.inf"):
        assert rights(device, path) == {SYSTEM_SID: WHOLE, ADMINISTRATORS: WHOLE, USERS: "0x1200a9"}


def test_the_same_wim_makes_nearly_the_same_cells(folder: Path) -> None:
    first = build(folder).partitions[0]
    assert first.device is not None
    kept = folder / "first"
    shutil.move(first.device, kept)
    again = draft_of_wim(folder / "lab.wim", 1, folder / "work", name="windows-lab", title="", size=IMAGE)
    second = again.partitions[0]
    assert second.device is not None
    assert second.used == first.used
    one, two = kept.read_bytes(), second.device.read_bytes()
    # Only dates of file records may differ; they are in the file table, at most 8 bytes for each of four dates.
    assert sum(a != b for a, b in zip(one, two, strict=True)) < 32 * (len(again.contents["files"]) + 40)


def _check_policies(hives: Mapping[str, bytes], folder: Path) -> None:
    """Every policy by regipy, those of chntpw's plain types by chntpw."""
    for name, content in hives.items():
        for entry in windows_policies():
            if entry["hive"] != name:
                continue
            key = entry["key"].replace("CurrentControlSet", "ControlSet001")
            value = value_of(content, key, entry["name"])
            if entry["type"] == "dword":
                wanted = int(entry["value"], 0)
                assert value == wanted, entry
                assert chntpw_value(content, key, entry["name"], folder) == f"dword:{wanted:08x}", entry
            else:
                assert value == entry["value"], entry


def _password(answers: str) -> str:
    """The hidden password in an answer file."""
    tree = Xml.fromstring(answers)
    found = [element.text for element in tree.iter() if element.tag.endswith("}Value")]
    assert len(found) == 1 and found[0]
    assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", found[0])
    return base64.b64decode(found[0]).decode("utf-16-le")
