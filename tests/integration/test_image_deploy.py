"""The client images disks that are files here, with the real file systems and programs, against a stand-in server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lab_tool.imaging.deploy.stream import Heard, Sink
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Partition
from lab_tool.imaging.format.packs import expand, parse_index
from lab_tool.process import run
from tests.support.image_fixtures import files, image, pc, server
from tests.support.image_made import MIB, UUIDS, Files, file_system, linux_image, linux_tree, opened
from tests.support.image_pc import ACCESS_KEY, MAC, Pc, make_pc
from tests.support.image_server import ImageServer

__all__ = ["files", "image", "pc", "server"]
pytestmark = pytest.mark.hosts
SYSTEM = "debian-lab-system"


def test_an_empty_disk_becomes_this_pc(pc: Pc, image: str) -> None:
    pc.server.waits = 2
    pc.order(image)
    assert pc.run() == 0, pc.said
    assert pc.server.states[0] == "claimed" and pc.server.states[-3:] == ["personalising", "rebooting", "imaged"]
    assert pc.boots
    start, size = pc.place(SYSTEM)
    assert size > 300 * MIB
    with opened(pc.disk, "ext4", start, size) as root:
        assert (root / "etc/hostname").read_text("ascii") == "a301-07\n"
        network = (root / "etc/systemd/network/05-lab.network").read_text("ascii")
        assert f"MACAddress={MAC}" in network and "Address=10.3.1.7/24" in network
        stated = json.loads((root / "etc/lab/image.json").read_text("ascii"))
        assert (stated["image"], stated["host"], stated["cells"]) == (image, "a301-07", pc.result["cells_sha256"])
        assert (root / "etc/machine-id").read_text("ascii").strip() != "0123456789abcdef0123456789abcdef"
        keys = sorted(path.read_text("ascii").strip() for path in (root / "etc/ssh").glob("*_key.pub"))
        assert keys == sorted(pc.result["host_keys"]) and not any("OFTHEIMAGE" in key for key in keys)
        mounts = (root / "etc/fstab").read_text("ascii")
        assert "UUID=old" not in mounts and "/media" in mounts and UUIDS["ext4"] in mounts
        access = root / "home/lab-admin/.ssh/authorized_keys"
        assert access.read_text("ascii") == f"{ACCESS_KEY}\n"
        assert (access.stat().st_uid, access.stat().st_mode & 0o777) == (1000, 0o600)
        assert (root / "etc/localtime").is_symlink()
    assert fsck(pc, SYSTEM) == 0


def fsck(pc: Pc, name: str) -> int:
    """What e2fsck says of an ext4 partition: 0 when it is sound."""
    start, size = pc.place(name)
    part = pc.disk.with_name("part.img")
    with pc.disk.open("rb") as file, part.open("wb") as out:
        file.seek(start)
        for _ in range(size // MIB):
            out.write(file.read(MIB))
    return run(["e2fsck", "-f", "-n", str(part)]).code


@pytest.mark.parametrize("fs", ["xfs", "btrfs"])
def test_other_file_systems_grow_as_well(pc: Pc, files: Files, tmp_path: Path, fs: str) -> None:
    pc.order(linux_image(files, tmp_path, fs, name=f"debian-{fs}"))
    assert pc.run() == 0, pc.said
    start, size = pc.place(f"debian-{fs}-system")
    with opened(pc.disk, fs, start, size) as root:
        assert (root / "etc/hostname").read_text("ascii") == "a301-07\n"
        done = run(["df", "--block-size=1", "--output=size", str(root)])
        assert int(done.out.split()[1]) > 300 * MIB


def test_partitions_that_only_windows_or_firmware_read_come_cell_by_cell(pc: Pc, files: Files, tmp_path: Path) -> None:
    root = file_system(tmp_path / "root.img", "ext4", 64 * MIB, linux_tree)
    ntfs = file_system(tmp_path / "ntfs.img", "ntfs", 32 * MIB)
    vfat = file_system(tmp_path / "vfat.img", "vfat", 16 * MIB)
    parts = [(Partition("system", "ext4", 64 * MIB, False, "", 0, UUIDS["ext4"]), root)]
    parts += [
        (Partition(fs, fs, path.stat().st_size, False, "", 0), path) for fs, path in (("ntfs", ntfs), ("vfat", vfat))
    ]
    pc.order(files.add("mixed", 1, parts))
    assert pc.run() == 0, pc.said
    start, size = pc.place("mixed-ntfs")
    with pc.disk.open("rb") as file:
        file.seek(start)
        (tmp_path / "back.img").write_bytes(file.read(size))
    assert run(["ntfsfix", "-n", str(tmp_path / "back.img")]).code == 0


def test_an_unchanged_pc_is_imaged_again_for_little(pc: Pc, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks: list[int] = []
    said = pc.server.answer

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/api/next":
            lacks.append(json.loads(body)["lacks"])
        return said(method, path, body)

    monkeypatch.setattr(pc.server, "answer", answer)
    pc.order(image)
    assert pc.run() == 0, pc.said
    first = pc.result
    assert pc.run() == 0, pc.said
    # What is personal is written anew, the rest is there.
    assert lacks[0] == 1000 and 0 < lacks[-1] < 400
    assert pc.result["fetched_bytes"] <= first["fetched_bytes"] * 0.4
    assert pc.result["cells_sha256"] == first["cells_sha256"]
    assert set(pc.result["host_keys"]).isdisjoint(first["host_keys"])


def test_two_pcs_of_one_image_differ(pc: Pc, image: str, server: ImageServer, files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pcs = [pc, make_pc(tmp_path / "other", server, files)]
    told = []
    for one in pcs:
        one.order(image)
        assert one.run() == 0, one.said
        with opened(one.disk, "ext4", *one.place(SYSTEM)) as root:
            told.append({*one.result["host_keys"], (root / "etc/machine-id").read_text("ascii")})
    assert len(told[0]) == 4 and told[0].isdisjoint(told[1])


def test_two_systems_share_a_disk(pc: Pc, image: str, files: Files, tmp_path: Path) -> None:
    other = linux_image(files, tmp_path, "ext4", name="exam", uuid="6a6e0a51-3f0e-4bb7-9d43-0f0f2c6f0a03")
    pc.order(other, image)
    assert pc.run() == 0, pc.said
    start, size = pc.place("LABBOOT")
    efi = pc.disk.with_name("efi.img")
    with pc.disk.open("rb") as file:
        file.seek(start)
        efi.write_bytes(file.read(size))
    menu = run(["mtype", "-i", str(efi), "::/grub/grub.cfg"]).out.decode()
    assert (
        menu.count("menuentry") == 2 and "set default=0" in menu and menu.index("exam/1") < menu.index("debian-lab/1")
    )
    assert pc.place("exam-system")[1] == pc.place(SYSTEM)[1]


def test_what_a_stream_did_not_bring_is_fetched(
    pc: Pc, image: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc.order(image)
    pc.server.joins.append(Join("0" * 16, "239.255.70.1", 9100, image))
    pack = files.manifests[image].packs[0]
    frames = (files.folder / f"packs/{pack}.pack").read_bytes()
    places = list(parse_index((files.folder / f"packs/{pack}.idx").read_bytes()).items())

    def hear(join: Join, heard: str, sink: Sink) -> Heard:
        assert join.image == heard == image
        for digest, at in places[::2]:
            sink.offer(digest, frames[at.offset : at.offset + at.length])
        # Another image's cell, and one that was damaged.
        sink.offer(bytes(32), b"of another image")
        sink.offer(places[1][0], b"damaged")
        raise FormatError("the stream was cut off")

    monkeypatch.setattr("lab_tool.imaging.deploy.stream.receive", hear)
    assert pc.run() == 0, pc.said
    assert pc.boots and any("going on alone" in line for line in pc.said)


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_disk_with_an_old_table_and_large_sectors(pc: Pc, image: str, sector: int) -> None:
    run(["sfdisk", "--quiet", "--label", "dos", str(pc.disk)], input=b"2048,200M,L,*\n,,7\n")
    argv = ["losetup", "--find", "--show", f"--sector-size={sector}", str(pc.disk)]
    pc.disk = Path(run(argv).out.decode().strip())
    try:
        pc.order(image)
        assert pc.run() == 0, pc.said
        table = json.loads(run(["sfdisk", "--json", str(pc.disk)]).out)["partitiontable"]
        assert table["label"] == "gpt" and table["sectorsize"] == sector
        system = next(part for part in table["partitions"] if part["name"] == SYSTEM)
        with opened(pc.disk, "ext4", system["start"] * sector, system["size"] * sector) as root:
            assert (root / "etc/hostname").read_text("ascii") == "a301-07\n"
    finally:
        run(["losetup", "--detach", str(pc.disk)])


def test_the_data_partition_survives(pc: Pc, image: str, files: Files, tmp_path: Path) -> None:
    pc.order(image, data=64 * MIB)
    assert pc.run() == 0, pc.said
    before = pc.place("lab-data")
    with opened(pc.disk, "ext4", *before) as data:
        (data / "work.txt").write_text("a term's work", "ascii")
    with opened(pc.disk, "ext4", *pc.place(SYSTEM)) as root:
        assert "/srv/data" in (root / "etc/fstab").read_text("ascii") and (root / "srv/data").is_dir()
    # Another image, and an order that no longer asks for one.
    pc.order(linux_image(files, tmp_path, "ext4", 2), data=0)
    assert pc.run() == 0, pc.said
    assert pc.place("lab-data") == before
    with opened(pc.disk, "ext4", *before) as data:
        assert (data / "work.txt").read_text("ascii") == "a term's work"
    assert fsck(pc, "lab-data") == 0


def test_a_pc_mends_itself_without_network(pc: Pc, image: str) -> None:
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    assert pc.result["cache"] == "complete"
    keys = set(pc.result["host_keys"])
    start, size = pc.place(SYSTEM)
    with opened(pc.disk, "ext4", start, size) as root:
        for path in (root / "home").glob("[0-9]"):
            path.write_bytes(bytes(MIB))
        (root / "vmlinuz").unlink()
    pc.server.away = True
    requests = pc.server.requests
    assert pc.run(heal=True, api="", http="", token="") == 0, pc.said
    assert pc.server.requests == requests
    with opened(pc.disk, "ext4", start, size) as root:
        assert (root / "vmlinuz").exists() and any((root / "home/0").read_bytes())
        assert {path.read_text("ascii").strip() for path in (root / "etc/ssh").glob("*_key.pub")} == keys


def test_a_forged_copy_mends_nothing(pc: Pc, image: str) -> None:
    pc.order(image, cache=96 * MIB)
    assert pc.run() == 0, pc.said
    start, size = pc.place("lab-cache")
    with opened(pc.disk, "ext4", start, size) as own:
        (own / "order").write_text((own / "order").read_text("ascii").replace("a301-07", "a301-08"), "ascii")
    before = hashlib.sha256(pc.disk.read_bytes()).digest()
    assert pc.run(heal=True) == 1
    assert "forged" in " ".join(pc.said)
    assert hashlib.sha256(pc.disk.read_bytes()).digest() == before


@pytest.mark.parametrize("name", ["vmlinuz", "initrd.img"])
def test_a_deploy_system_that_is_another_is_not_kept(pc: Pc, image: str, name: str) -> None:
    pc.order(image, cache=96 * MIB)
    pc.server.spoil = lambda path, content: content + b"more" if path.endswith(name) else content
    assert pc.run() == 0, pc.said
    assert pc.result["cache"].startswith("none") and "another" in pc.result["cache"]
    with opened(pc.disk, "ext4", *pc.place("lab-cache")) as own:
        assert not (own / "order").exists() and not (own / "deploy").exists()


def test_a_cache_too_small_does_no_harm(pc: Pc, files: Files, tmp_path: Path) -> None:
    root = file_system(tmp_path / "root.img", "ext4", 96 * MIB, lambda tree: linux_tree(tree, 48 * MIB))
    system = Partition("system", "ext4", 96 * MIB, True, "", 0, UUIDS["ext4"])
    pc.order(files.add("large", 1, [(system, root)]), cache=16 * MIB)
    assert pc.run() == 0, pc.said
    assert pc.result["cache"].startswith("none")


def test_a_captured_disk_is_sent_as_it_is(pc: Pc, image: str, files: Files) -> None:
    pc.order(image)
    assert pc.run() == 0, pc.said
    before = hashlib.sha256(pc.disk.read_bytes()).digest()
    pc.order(image, action="capture")
    assert pc.run() == 0, pc.said
    assert hashlib.sha256(pc.disk.read_bytes()).digest() == before
    sent = pc.server.captured
    table = json.loads(sent["table.json"])
    part = next(part for part in table["partitions"] if part["name"] == SYSTEM)
    assert part["fs"] == "ext4" and part["uuid"] == UUIDS["ext4"]
    listed = CellList.parse(sent[f"{part['number']}.cells"])
    assert listed.digest == part["cells"] and listed.size == part["size"]
    held = {}
    for name in (name for name in sent if name.endswith(".idx")):
        pack = sent[name.replace(".idx", ".pack")]
        assert hashlib.sha256(pack).hexdigest() == name.removesuffix(".idx")
        held.update({digest: pack[at.offset : at.offset + at.length] for digest, at in parse_index(sent[name]).items()})
    back = pc.disk.with_name("captured.img")
    with back.open("wb") as file:
        file.truncate(listed.size)
        for number, digest in listed.cells:
            file.seek(number * listed.cell_size)
            file.write(expand(held[digest], digest, listed.cell_size))
    assert run(["e2fsck", "-f", "-n", str(back)]).code == 0
    with opened(back, "ext4") as root:
        assert (root / "etc/hostname").read_text("ascii") == "a301-07\n"


def test_a_full_server_ends_a_capture(pc: Pc, image: str) -> None:
    pc.order(image)
    assert pc.run() == 0, pc.said
    pc.order(image, action="capture")
    pc.server.full = True
    assert pc.run() == 1
    assert pc.server.reports[-1]["state"] == "failed" and "full" in pc.server.reports[-1]["message"]
