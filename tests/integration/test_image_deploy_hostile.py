"""Whoever sat at a PC could write anything to its disk: what the client finds there harms neither it nor the image."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.imaging.deploy import volumes
from lab_tool.imaging.deploy.layout import DATA
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.packs import parse_index
from lab_tool.process import run
from tests.support.image_fixtures import files, image, pc, server
from tests.support.image_made import MIB, file_system, opened
from tests.support.image_pc import Pc

__all__ = ["files", "image", "pc", "server"]
pytestmark = pytest.mark.hosts
SYSTEM = "debian-lab-system"


def _link_packs(own: Path, victim: Path) -> None:
    shutil.rmtree(own / "packs")
    (own / "packs").mkdir()
    (own / "packs/0001.pack").symlink_to(victim)


def _link_order(own: Path, victim: Path) -> None:
    (own / ".order.part").symlink_to(victim)


def _link_folder(own: Path, victim: Path) -> None:
    shutil.rmtree(own / "deploy")
    (own / "deploy").symlink_to(victim.parent)


def _device(own: Path, victim: Path) -> None:
    # The null device in the place of the disk's.
    os.mknod(own / ".order.part", 0o600 | 0o020000, os.makedev(1, 3))


def _pipe(own: Path, victim: Path) -> None:
    os.mkfifo(own / "packs/0002.idx")
    (own / "packs/0002.pack").touch()


def _endless(own: Path, victim: Path) -> None:
    with (own / "packs/0002.idx").open("wb") as file:
        file.truncate(1 << 40)
    (own / "packs/0002.pack").touch()


@pytest.mark.parametrize("evil", [_link_packs, _link_order, _link_folder, _device, _pipe, _endless])
def test_an_evil_copy_is_made_anew_and_leads_nowhere(
    pc: Pc, image: str, tmp_path: Path, evil: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim/file"
    victim.parent.mkdir()
    victim.write_text("untouched", "ascii")
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    with opened(pc.disk, "ext4", *pc.place("lab-cache")) as own:
        evil(own, victim)
    assert pc.run(heal=True) == 1 and "never put there" in " ".join(pc.said)
    assert pc.run() == 0, pc.said
    assert pc.result["cache"] == "complete"
    assert victim.read_text("ascii") == "untouched" and len(list(victim.parent.iterdir())) == 1
    assert pc.run(heal=True) == 0, pc.said


def test_a_file_system_that_would_stop_the_kernel_does_not(pc: Pc, tmp_path: Path) -> None:
    path = file_system(tmp_path / "evil", "ext4", 16 * MIB)
    assert run(["tune2fs", "-e", "panic", str(path)]).code == 0
    loop = run(["losetup", "--find", "--show", str(path)]).out.decode().strip()
    try:
        with volumes.mounted(Path(loop), "ext4") as folder:
            shown = run(["findmnt", "-n", "-o", "OPTIONS", str(folder)]).out.decode()
            # What the file system asks for would be shown.
            assert "errors=" not in shown or "errors=remount-ro" in shown
            assert "panic" not in shown
    finally:
        run(["losetup", "--detach", loop])


def test_a_file_system_that_stays_mounted_is_not_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(root: Path) -> None:
        (root / "work").write_text("x", "ascii")

    path = file_system(tmp_path / "busy", "ext4", 16 * MIB, fill)
    monkeypatch.setattr(volumes, "_UNMOUNT_TRIES", 1)
    loop = run(["losetup", "--find", "--show", str(path)]).out.decode().strip()
    folder, busy = Path(), None
    try:
        with pytest.raises(DeployError, match="put away"), volumes.mounted(Path(loop), "ext4") as folder:
            busy = (folder / "work").open("rb")
        assert (folder / "work").read_text("ascii") == "x"
    finally:
        if busy:
            busy.close()
        run(["umount", str(folder)])
        run(["losetup", "--detach", loop])
        folder.rmdir()


def test_a_data_partition_says_nothing_in_the_list_of_mounts(pc: Pc, image: str) -> None:
    pc.order(image, data=64 * MIB)
    assert pc.run() == 0, pc.said
    start, size = pc.place("lab-data")
    # LUKS: its UUID is text as it stands.
    head = bytearray(1024)
    head[:8] = b"LUKS\xba\xbe\0\1"
    text = b"a\n/dev/sdb1 /etc auto suid 0 0\n#"
    head[168 : 168 + len(text)] = text
    with pc.disk.open("r+b") as file:
        file.seek(start)
        file.write(head.ljust(MIB, b"\1"))
    before = _digest(pc.disk, start, size)
    assert pc.run() == 0, pc.said
    assert _digest(pc.disk, start, size) == before
    with opened(pc.disk, "ext4", *pc.place(SYSTEM)) as root:
        mounts = (root / "etc/fstab").read_text("ascii")
    assert "sdb1" not in mounts and mounts.count("/srv/data") == 1
    table = run(["sfdisk", "--json", str(pc.disk)]).out.decode()
    named = next(line for line in mounts.splitlines() if "/srv/data" in line).split()[0].removeprefix("PARTUUID=")
    assert named.upper() in table and DATA in table


def _digest(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.sha256(file.read(size)).digest()


def _wrong_place(pc: Pc, own: Path) -> None:
    run(["truncate", "--size=+128M", str(pc.disk)])


def _damaged(pc: Pc, own: Path) -> None:
    pack = own / "packs/0001.pack"
    at = next(iter(parse_index(pack.with_suffix(".idx").read_bytes()).values()))
    with pack.open("r+b") as file:
        file.seek(at.offset + at.length // 2)
        file.write(b"damage")


def _shortened(pc: Pc, own: Path) -> None:
    (own / "packs/0001.idx").write_bytes((own / "packs/0001.idx").read_bytes()[:-44])


@pytest.mark.parametrize(
    ("harm", "said"), [(_wrong_place, "lies where"), (_damaged, "lacks"), (_shortened, "lacks 1 ")]
)
def test_a_copy_that_can_t_mend_leaves_what_starts(
    pc: Pc, image: str, harm: Callable[[Pc, Path], None], said: str
) -> None:
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    with opened(pc.disk, "ext4", *pc.place("lab-cache")) as own:
        harm(pc, own)
    before = hashlib.sha256(pc.disk.read_bytes()).digest()
    assert pc.run(heal=True) == 1
    assert said in " ".join(pc.said), pc.said
    assert hashlib.sha256(pc.disk.read_bytes()).digest() == before and pc.boots


def test_a_copy_with_an_order_to_capture_mends_nothing(pc: Pc, image: str) -> None:
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    pc.order(image, action="capture")
    with opened(pc.disk, "ext4", *pc.place("lab-cache")) as own:
        (own / "order").write_text(pc.server.order, "ascii")
        (own / "order.sig").write_text(pc.server.signature, "ascii")
    before = hashlib.sha256(pc.disk.read_bytes()).digest()
    assert pc.run(heal=True) == 1 and "capture" in " ".join(pc.said)
    assert hashlib.sha256(pc.disk.read_bytes()).digest() == before


def test_a_damaged_key_is_made_anew_and_the_others_stay(pc: Pc, image: str) -> None:
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    keys = set(pc.result["host_keys"])
    with opened(pc.disk, "ext4", *pc.place(SYSTEM)) as root:
        (root / "etc/ssh/ssh_host_rsa_key").write_bytes(b"\xff\xfe damaged")
        (root / "etc/machine-id").write_bytes(b"\0" * 33)
    assert pc.run(heal=True) == 0, pc.said
    with opened(pc.disk, "ext4", *pc.place(SYSTEM)) as root:
        now = {path.read_text("ascii").strip() for path in (root / "etc/ssh").glob("*_key.pub")}
        assert len((root / "etc/machine-id").read_text("ascii").strip()) == 32
    assert len(keys & now) == len(keys) - 1 and len(now) == len(keys)


def test_the_first_mib_overwritten_takes_no_data_along(pc: Pc, image: str) -> None:
    pc.order(image, data=64 * MIB)
    assert pc.run() == 0, pc.said
    before = pc.place("lab-data")
    with opened(pc.disk, "ext4", *before) as data:
        (data / "work.txt").write_text("a term's work", "ascii")
    with pc.disk.open("r+b") as file:
        file.write(bytes(MIB))
    assert pc.run() == 0, pc.said
    assert pc.place("lab-data") == before
    with opened(pc.disk, "ext4", *before) as data:
        assert (data / "work.txt").read_text("ascii") == "a term's work"
