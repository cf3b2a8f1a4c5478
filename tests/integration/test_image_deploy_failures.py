"""What can go wrong while a PC is imaged: nobody boots half an image, nobody's image but the school's is taken."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.readback import read_back
from lab_tool.imaging.deploy.run import AGAIN, FAILED
from lab_tool.imaging.deploy.writer import WRITTEN, Area
from lab_tool.process import run
from tests.support.image_fixtures import files, image, pc, server
from tests.support.image_made import MIB
from tests.support.image_pc import Pc

__all__ = ["files", "image", "pc", "server"]
pytestmark = pytest.mark.hosts
SYSTEM = "debian-lab-system"


def digest(path: Path) -> bytes:
    """What is on a disk, in short."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def make_bootable_before(pc: Pc) -> None:
    """Something that starts is on the disk."""
    with pc.disk.open("r+b") as file:
        file.write(b"\xfaOLD" * 100)


def switched_off(pc: Pc, when: Callable[[], bool]) -> None:
    """Run the client as a program and kill it at that moment."""
    words_file = pc.base / "cmdline"
    here = pc.situation
    words = [f"lab.{name}={getattr(here, name)}" for name in ("api", "http", "pin", "token", "mac")]
    words_file.write_text("quiet " + " ".join(words), "ascii")
    # Mounts of its own, which go with it.
    argv = [
        "unshare",
        "--mount",
        sys.executable,
        "-m",
        "lab_tool.imaging.deploy",
        "--command-line",
        str(words_file),
        "--patience",
        "60",
    ]
    argv += ["--disk", str(pc.disk), "--base", str(pc.base)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        end = time.monotonic() + 60
        while not when() and client.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        assert client.poll() is None, client.stdout and client.stdout.read()
        client.send_signal(signal.SIGKILL)
    for line in run(["losetup", "--associated", str(pc.disk)]).out.decode().splitlines():
        run(["losetup", "--detach", line.partition(":")[0]])


def test_a_pc_that_dies_in_mid_write_starts_nothing_and_goes_on(pc: Pc, image: str) -> None:
    make_bootable_before(pc)
    pc.order(image)
    assert pc.run() == 0
    whole = pc.result["fetched_bytes"]
    with pc.disk.open("r+b") as file:
        file.truncate(0)
        file.truncate(600 * MIB)
    before = pc.server.arrived
    pc.server.rate = whole / 3
    switched_off(pc, lambda: pc.server.arrived - before > whole * 0.85)
    assert not pc.boots
    pc.server.rate = 0
    assert pc.run() == 0, pc.said
    assert pc.boots and pc.result["fetched_bytes"] < whole * 0.9


@pytest.mark.parametrize("state", ["verifying", "personalising"])
def test_a_power_cut_before_the_end_leaves_a_disk_that_does_not_start(pc: Pc, image: str, state: str) -> None:
    make_bootable_before(pc)
    pc.order(image)
    switched_off(pc, lambda: state in pc.server.states)
    assert not pc.boots
    assert pc.run() == 0, pc.said
    assert pc.boots


def test_a_server_that_dies_and_comes_back_costs_time_only(pc: Pc, image: str) -> None:
    pc.order(image)
    pc.server.cut_after = 2 * MIB

    def pause(seconds: float) -> None:
        pc.slept.append(seconds)
        if len(pc.slept) > 4:
            pc.server.away = False

    assert pc.run(sleep=pause) == 0, pc.said
    assert len(pc.slept) > 4


def test_a_server_that_stays_away_ends_it_and_nothing_starts(pc: Pc, image: str) -> None:
    make_bootable_before(pc)
    pc.order(image)
    pc.server.cut_after = 2 * MIB
    assert pc.run() == AGAIN
    assert not pc.boots and sum(pc.slept) > 60 and "has not answered" in " ".join(pc.said)


def test_what_is_damaged_on_the_way_comes_again(pc: Pc, image: str) -> None:
    pc.order(image)
    spoiled: list[str] = []

    def spoil(path: str, content: bytes) -> bytes:
        if path.endswith(".pack") and not spoiled:
            spoiled.append(path)
            return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
        return content

    pc.server.spoil = spoil
    assert pc.run() == 0, pc.said
    assert spoiled


@pytest.mark.parametrize("kind", ["pack", "idx", "cells", "manifest"])
def test_what_is_damaged_on_the_server_is_not_written(pc: Pc, image: str, kind: str) -> None:
    pc.order(image)
    pc.server.spoil = lambda path, content: content[:-9] + bytes(9) if kind in path else content
    assert pc.run() == FAILED
    assert not pc.boots
    last = pc.server.reports[-1]
    assert last["state"] == "failed" and last["message"]


def test_a_disk_that_is_too_small_is_left_alone(pc: Pc, image: str) -> None:
    with pc.disk.open("r+b") as file:
        file.truncate(180 * MIB)
    make_bootable_before(pc)
    before = digest(pc.disk)
    pc.order(image)
    assert pc.run() == FAILED
    assert digest(pc.disk) == before
    assert "too small" in pc.server.reports[-1]["message"] and str(pc.disk) in pc.server.reports[-1]["message"]


def test_nothing_is_written_on_an_order_that_is_not_for_this_pc(pc: Pc, image: str, tmp_path: Path) -> None:
    make_bootable_before(pc)
    before = digest(pc.disk)
    order = pc.order(image)
    forger = tmp_path / "forger"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(forger)])
    cases: dict[str, Callable[[], None]] = {
        "forged": lambda: pc.give(order, forger),
        "another PC": lambda: pc.give(replace(order, mac="52:54:00:b1:01:07")),
        "another version": lambda: pc.give(replace(order, deploy="e" * 64)),
    }
    for said, give in cases.items():
        give()
        assert pc.run() == FAILED
        assert said in " ".join(pc.said), pc.said
        assert digest(pc.disk) == before
    pc.give(order)
    pc.server.order = pc.server.order.replace("a301-07", "a301-08")
    assert pc.run() == FAILED and digest(pc.disk) == before
    pc.give(order)
    (pc.base / "etc/lab/trust/signers").write_text("", "ascii")
    assert pc.run() == FAILED and digest(pc.disk) == before


def test_another_server_is_not_talked_to(pc: Pc, image: str) -> None:
    pc.order(image)
    before = digest(pc.disk)
    (pc.base / "etc/lab/trust/pins").write_text("0" * 64 + "\n", "ascii")
    assert pc.run() == FAILED
    (pc.base / "etc/lab/trust/pins").write_text("", "ascii")
    # Nobody who only sits on the way gets as far as hearing the token.
    assert pc.run(pin="0" * 64) == AGAIN
    assert not pc.server.sessions and len(pc.server.tokens) == 2 and digest(pc.disk) == before


def test_a_token_is_good_once_and_shown_to_nobody(pc: Pc, image: str) -> None:
    pc.order(image)
    situation = pc.situation
    assert pc.run(token=situation.token) == 0
    assert pc.run(token=situation.token) == AGAIN
    heard = " ".join(pc.said) + repr(situation) + str([report.get("message") for report in pc.server.reports])
    assert situation.token not in heard and not any(session in heard for session in pc.server.sessions)


def test_a_withdrawn_order_ends_it(pc: Pc, image: str) -> None:
    make_bootable_before(pc)
    pc.order(image)
    pc.server.rate = 2 * MIB
    pc.server.stop = True
    assert pc.run() == FAILED
    assert "withdrawn" in " ".join(pc.said)


@contextmanager
def disk_that_breaks_at(pc: Pc, good: int, folder: Path) -> Iterator[Path]:
    """A block device that takes so many bytes and then fails to write: a file where there is no more room."""
    folder.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={good}", "tmpfs", str(folder)])
    try:
        with (folder / "disk").open("wb") as file:
            file.truncate(600 * MIB)
        device = run(["losetup", "--find", "--show", str(folder / "disk")]).out.decode().strip()
        try:
            yield Path(device)
        finally:
            run(["losetup", "--detach", device])
    finally:
        run(["umount", str(folder)])


def test_a_disk_that_fails_is_named(pc: Pc, image: str, tmp_path: Path) -> None:
    with disk_that_breaks_at(pc, 8 * MIB, tmp_path / "small") as device:
        pc.disk = device
        pc.order(image)
        assert pc.run() == FAILED
        assert not pc.boots
    message = pc.server.reports[-1]["message"]
    assert "failing" in message and f"{device} byte" in message and "replace the disk" in message


def test_a_disk_that_forgets_is_found_out(pc: Pc, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bootable_before(pc)
    pc.order(image)

    def forget(disk: Disk, areas: Sequence[Area], moved: Callable[[int], None]) -> list[str]:
        with pc.disk.open("r+b") as file:
            file.seek(areas[0].offset(areas[0].state.rindex(WRITTEN)) + 4096)
            file.write(b"not what was written")
        return read_back(disk, areas, moved)

    monkeypatch.setattr("lab_tool.imaging.deploy.readback.read_back", forget)
    assert pc.run() == FAILED
    assert "gives back something else" in pc.server.reports[-1]["message"] and not pc.boots


def test_one_disk_of_several_has_to_be_named(pc: Pc, image: str) -> None:
    for name, sectors in (("sda", 4_000_000), ("sdb", 2_000_000)):
        (pc.base / "sys/block" / name).mkdir()
        (pc.base / "sys/block" / name / "size").write_text(str(sectors), "ascii")
    pc.order(image)
    assert pc.run(disk="") == FAILED
    assert "sda" in pc.server.reports[-1]["message"] and "sdb" in pc.server.reports[-1]["message"]


def test_the_order_may_name_a_disk_that_is_not_there(pc: Pc, image: str) -> None:
    pc.order(image, disk="ata-WDC_WD10_12345")
    assert pc.run(disk="") == FAILED
    assert "ata-WDC_WD10_12345" in pc.server.reports[-1]["message"]


def test_answers_without_content_are_no_content(pc: Pc, image: str) -> None:
    pc.order(image)
    pc.server.spoil = lambda path, content: b"" if path.endswith(".pack") else content
    assert pc.run() == AGAIN
    assert not pc.boots
