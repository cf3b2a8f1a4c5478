"""Start files of a Windows: what of an EFI partition comes along, and where the BCD points."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.esp import LARGEST, pack_esp
from lab_tool.imaging.deploy import bcd
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import plan_layout, write_table
from lab_tool.imaging.deploy.windows_start import point_archive, target_of
from lab_tool.imaging.format.manifest import Manifest, Partition
from tests.support.windows import BINARY, dword, make_hive, value_of
from tests.support.windows_order import order

MIB = 1024 * 1024
MANAGER, LOADER, RECOVERY = (
    "{9dea862c-5cdd-4e70-acc1-f32b344d4795}",
    "{11111111-5cdd-4e70-acc1-f32b344d4795}",
    "{22222222-5cdd-4e70-acc1-f32b344d4795}",
)
OLD, DISK, EFI, WINDOWS = (uuid.uuid5(uuid.NAMESPACE_DNS, name) for name in ("old", "disk", "efi", "windows"))
TARGET = bcd.Target(disk=DISK, efi=EFI, windows=WINDOWS)
# As bcdedit wrote it for a partition of a disk with an MBR: an offset in bytes, and the disk's signature.
ON_MBR = bytes.fromhex(
    "0000000000000000000000000000000006000000000000004800000000000000"
    "000010000000000000000000000000000000000001000000b31464ff00000000"
    "0000000000000000000000000000000000000000000000"
    "00"
)
# "locate": any partition that holds the path.
LOCATE = bytes(16) + bytes([8, 0, 0, 0, 0, 0, 0, 0, 0x1E, 0, 0, 0]) + bytes(0x1E)


def store(place: Path, devices: dict[tuple[str, str], bytes]) -> Path:
    """A BCD with these devices, by object and element."""
    make_hive(
        place,
        {
            (r"Description", "System"): dword(1),
            **{
                (rf"Objects\{item}\Elements\{kind}", "Element"): (BINARY, data)
                for (item, kind), data in devices.items()
            },
        },
    )
    return place


def device(place: Path, item: str, kind: str) -> bytes:
    """A device as regipy reads it."""
    value = value_of(place, rf"Objects\{item}\Elements\{kind}", "Element")
    return bytes.fromhex(value) if isinstance(value, str) else bytes(value)


@pytest.mark.usefixtures("hivex")
def test_devices_name_this_disk_and_the_right_partition(tmp_path: Path) -> None:
    old = bcd.device(OLD, OLD)
    place = store(
        tmp_path / "BCD",
        {
            (MANAGER, "11000001"): old,
            (LOADER, "11000001"): old,
            (LOADER, "21000001"): old,
            (RECOVERY, "21000001"): LOCATE,
        },
    )
    assert bcd.point(place, TARGET) == 3
    assert bcd.partition_of(device(place, MANAGER, "11000001")) == (EFI, DISK)
    assert bcd.partition_of(device(place, LOADER, "11000001")) == (WINDOWS, DISK)
    assert bcd.partition_of(device(place, LOADER, "21000001")) == (WINDOWS, DISK)
    assert device(place, RECOVERY, "21000001") == LOCATE
    before = place.read_bytes()
    assert bcd.point(place, TARGET) == 0
    assert place.read_bytes() == before


@pytest.mark.usefixtures("hivex")
def test_files_that_start_no_windows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="start no Windows"):
        bcd.point(store(tmp_path / "BCD", {(MANAGER, "11000001"): bcd.device(OLD, OLD)}), TARGET)
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 999)
    with pytest.raises(LabError, match="no registry hive"):
        bcd.point(tmp_path / "rubbish", TARGET)


def test_a_device_has_the_form_that_bcdedit_gives_it() -> None:
    made = bcd.device(WINDOWS, DISK)
    assert len(made) == len(ON_MBR) == 88
    assert made[:32] == ON_MBR[:32]
    assert made[32:48] == WINDOWS.bytes_le and made[56:72] == DISK.bytes_le
    assert bcd.partition_of(made) == (WINDOWS, DISK)
    assert bcd.partition_of(ON_MBR) is None
    assert bcd.partition_of(LOCATE) is None


def esp(folder: Path) -> Path:
    """A copy of an EFI partition with a Windows on it."""
    for name in ("EFI/Microsoft/Boot/bootmgfw.efi", "EFI/Microsoft/Boot/BCD", "EFI/Boot/bootx64.efi", "grub/grub.cfg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "EFI/Microsoft/Boot/BCD.LOG1").write_bytes(b"log")
    return folder


def test_what_is_ours_and_logs_stay_behind(tmp_path: Path) -> None:
    archive = pack_esp(esp(tmp_path / "esp"), tmp_path / "esp.tar")
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["EFI/Microsoft/Boot/BCD", "EFI/Microsoft/Boot/bootmgfw.efi"]
    assert archive.read_bytes() == pack_esp(tmp_path / "esp", tmp_path / "again.tar").read_bytes()


def test_the_folder_is_spelled_as_ours_is(tmp_path: Path) -> None:
    esp(tmp_path / "esp")
    (tmp_path / "esp/EFI").rename(tmp_path / "esp/efi")
    with tarfile.open(pack_esp(tmp_path / "esp", tmp_path / "esp.tar")) as tar:
        assert tar.getnames()[0] == "EFI/Microsoft/Boot/BCD"


def test_no_windows_a_link_or_too_much_is_refused(tmp_path: Path) -> None:
    folder = esp(tmp_path / "esp")
    (folder / "EFI/Microsoft/Boot/BCD").unlink()
    with pytest.raises(LabError, match="bcd"):
        pack_esp(folder, tmp_path / "esp.tar")
    esp(folder)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(LabError, match="no file that an EFI partition can hold"):
        pack_esp(folder, tmp_path / "esp.tar")
    (folder / "link").unlink()
    with (folder / "large").open("wb") as large:
        large.truncate(LARGEST)
    with pytest.raises(LabError, match="too many"):
        pack_esp(folder, tmp_path / "esp.tar")
    (folder / "large").unlink()
    (folder / "EFI/Microsoft/Boot/bcd").write_bytes(b"2")
    with pytest.raises(LabError, match="case only"):
        pack_esp(folder, tmp_path / "esp.tar")


@pytest.mark.usefixtures("hivex")
def test_an_archive_has_its_bcd_pointed_and_everything_else_as_it_was(tmp_path: Path) -> None:
    folder = esp(tmp_path / "esp")
    store(folder / "EFI/Microsoft/Boot/BCD", {(LOADER, "21000001"): bcd.device(OLD, OLD)})
    made = point_archive(pack_esp(folder, tmp_path / "esp.tar").read_bytes(), TARGET)
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
        content = {name: opened.read() for name, opened in files.items() if opened}
    assert content["EFI/Microsoft/Boot/bootmgfw.efi"] == b"EFI/Microsoft/Boot/bootmgfw.efi"
    (tmp_path / "BCD").write_bytes(content["EFI/Microsoft/Boot/BCD"])
    assert bcd.partition_of(device(tmp_path / "BCD", LOADER, "21000001")) == (WINDOWS, DISK)


def test_what_is_no_archive_or_has_no_bcd_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no archive"):
        point_archive(b"rubbish" * 999, TARGET)
    empty = tmp_path / "empty.tar"
    with tarfile.open(empty, "w"):
        pass
    with pytest.raises(LabError, match="no BCD"):
        point_archive(empty.read_bytes(), TARGET)


def test_the_guids_are_those_of_the_table_that_was_written(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as opened:
        opened.truncate(300 * MIB)
    manifest = Manifest(
        name="windows-lab",
        version=1,
        made="",
        by="",
        family="windows",
        title="",
        kind="recipe",
        source={},
        parent="",
        changes="",
        partitions=(Partition("system", "ntfs", 64 * MIB, True, "0" * 64, 0),),
        packs=(),
        contents="0" * 64,
        esp="1" * 64,
    )
    with Disk(image) as disk:
        layout = plan_layout(disk, order(), [("2" * 64, manifest)], [])
        write_table(disk, layout)
        target = target_of(disk, layout, layout.of("2" * 64)[0])
    table = json.loads(subprocess.run(["sfdisk", "--json", str(image)], check=True, capture_output=True).stdout)
    guids = [uuid.UUID(part["uuid"]) for part in table["partitiontable"]["partitions"]]
    assert target == bcd.Target(uuid.UUID(table["partitiontable"]["id"]), guids[1], guids[2])
    assert table["partitiontable"]["partitions"][1]["type"] == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
