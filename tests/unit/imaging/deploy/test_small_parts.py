"""The client's parts that need no disk: what it was told, which disk is meant, what is fetched together, patience."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.hardware import choose_disk, disks
from lab_tool.imaging.deploy.own_system import check
from lab_tool.imaging.deploy.patience import Patience
from lab_tool.imaging.deploy.readback import read_back
from lab_tool.imaging.deploy.situation import Situation, from_command_line
from lab_tool.imaging.deploy.sources import LONGEST_REQUEST, stretches
from lab_tool.imaging.deploy.trouble import AwayError, DeployError, DiskError
from lab_tool.imaging.deploy.writer import Area, Writer
from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.packs import Place, compress
from tests.support.image_pc import ABOUT, INITRD, KERNEL


def test_the_command_line_tells_where_to_ask() -> None:
    line = (
        "quiet lab.api=https://10.0.0.1:443/ lab.pin=AB lab.token=secret lab.mac=52:54:00:A3:01:07 lab.heal=1 x=lab.y"
    )
    here = from_command_line(line)
    assert (here.api, here.pin, here.mac, here.heal) == ("https://10.0.0.1:443", "ab", "52:54:00:a3:01:07", True)
    assert here.token == "secret" and "secret" not in repr(here)


def test_a_command_line_without_a_server_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="no lab"):
        Situation(base=tmp_path).check()


def pc_with(base: Path, **names: str) -> Situation:
    """A PC with these disks and their serial numbers."""
    for name, serial in names.items():
        (base / "sys/block" / name / "device").mkdir(parents=True)
        (base / "sys/block" / name / "size").write_text("2000000\n", "ascii")
        (base / "sys/block" / name / "device/serial").write_text(f"{serial}\n", "ascii")
    return Situation(base=base)


def test_the_only_disk_is_meant_and_no_loop_device_is_one(tmp_path: Path) -> None:
    here = pc_with(tmp_path, nvme0n1="S1", loop0="", sr0="")
    assert [disk.name for disk in disks(here)] == ["nvme0n1"]
    assert choose_disk(here, "") == Path("/dev/nvme0n1")


def test_a_disk_that_can_be_taken_out_is_not_meant(tmp_path: Path) -> None:
    here = pc_with(tmp_path, sda="S1", sdb="S2")
    (tmp_path / "sys/block/sdb/removable").write_text("1\n", "ascii")
    assert choose_disk(here, "") == Path("/dev/sda")


def test_one_of_two_is_told_by_its_serial_number(tmp_path: Path) -> None:
    here = pc_with(tmp_path, sda="WD 123", sdb="S2")
    assert choose_disk(here, "ata-WDC_WD10EZEX_WD_123") == Path("/dev/sda")
    with pytest.raises(DeployError, match="not certain"):
        choose_disk(here, "")


def test_frames_side_by_side_come_in_one_request_and_far_ones_do_not() -> None:
    far = 100 * 1024 * 1024
    places = {b"a": Place(0, 10), b"b": Place(10, 10), b"c": Place(far, 10), b"d": Place(far + 10, LONGEST_REQUEST)}
    found = stretches([b"d", b"b", b"a", b"c", b"unknown"], {"p": places, "q": {b"a": Place(5, 5)}})
    assert [(one.pack, one.start, one.end) for one in found] == [
        ("p", 0, 20),
        ("p", far, far + 10),
        ("p", far + 10, far + 10 + LONGEST_REQUEST),
    ]


def test_patience_ends_and_begins_anew_with_an_answer() -> None:
    slept: list[float] = []
    patience = Patience(Situation(patience=20, now=lambda: sum(slept), sleep=slept.append), "server")
    for _ in range(5):
        patience.wait("no answer")
    patience.good()
    before = sum(slept)
    with pytest.raises(AwayError, match="20 seconds"):
        for _ in range(100):
            patience.wait("no answer")
    assert 20 < sum(slept) - before < 60


# A frame that zstd passes over.
SKIPPED = struct.pack("<LL", 0x184D2A50, 4) + b"1234"


def archived(content: bytes) -> bytes:
    """An archive of that content."""
    return zstandard.ZstdCompressor().compress(content)


def test_a_forged_deploy_system_that_unpacks_without_end_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "etc/lab").mkdir(parents=True)
    (tmp_path / "etc/lab/deploy.json").write_bytes(ABOUT)
    head = b"070701" + b"".join(b"%08x" % field for field in (1, 0o100644, 0, 0, 1, 0, 1 << 31, 0, 0, 0, 0, 2, 0))
    endless = archived(head + b"a\0" + bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(DeployError, match="another"):
            check(Situation(base=tmp_path), KERNEL, endless)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_only_the_deploy_system_that_runs_is_known_again(tmp_path: Path) -> None:
    (tmp_path / "etc/lab").mkdir(parents=True)
    (tmp_path / "etc/lab/deploy.json").write_bytes(ABOUT)
    here = Situation(base=tmp_path)
    check(here, KERNEL, INITRD)
    whole = zstandard.ZstdDecompressor().decompress(INITRD)
    changed = INITRD[:-20] + struct.pack("B", INITRD[-20] ^ 1) + INITRD[-19:]
    others = [changed, INITRD + INITRD, INITRD + b"x", INITRD + SKIPPED, INITRD[:-1], INITRD[:40], INITRD[:4], b""]
    others += [archived(whole + more) for more in (b"\0", whole)] + [archived(whole[:-1]), archived(b"")]
    for kernel, initrd in ((KERNEL + b"x", INITRD), *((KERNEL, other) for other in others)):
        with pytest.raises(DeployError, match="another"):
            check(here, kernel, initrd)


class Pretender(Disk):
    """A disk that is half as large as it says: what lies behind is written over what lies in front."""

    def read(self, offset: int, length: int) -> memoryview:
        """From the half that there is."""
        return super().read(offset % (self.size // 2), length)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """To the half that there is."""
        super().write(offset % (self.size // 2), data)


def test_a_disk_that_pretends_to_be_larger_is_found_out_at_the_second_attempt_too(tmp_path: Path) -> None:
    contents = [number.to_bytes(8, "big") * (CELL_SIZE // 8) for number in range(320)]
    cells = CellList(320 * CELL_SIZE, [(at, hashlib.sha256(one).digest()) for at, one in enumerate(contents)])
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(cells.size)
    for _ in range(3):
        with Pretender(path) as disk:
            writer = Writer(disk, [area := Area("system", 0, cells)])
            try:
                writer.compare()
                for content in contents:
                    writer.offer(hashlib.sha256(content).digest(), compress(content, 1))
                writer.finish()
                writer.release()
                with pytest.raises(DiskError, match="something else"):
                    read_back(disk, [area], lambda size: None)
            finally:
                writer.close()
