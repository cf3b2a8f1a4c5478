"""Empty PCs become what the inventory says: from the network, over a real image server, to SSH and patch."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from lab_tool.settings import PROJECT
from tests.integration.conftest import wait_until
from tests.support.small_image import small_image
from tests.testbed.packages import NEW
from tests.testbed.programs import run
from tests.testbed.room import build_room
from tests.vm.imaged_room import DEMO, ROOM, ImagedRoom, make_room, set_up
from tests.vm.netboot import Firmware

FIRMWARES: list[Firmware] = ["bios", "uefi"]
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
# What `patch` needs on a PC; real images have them from the first run of it.
PACKAGES = ("iputils-ping", "needrestart", "python3-apt")
STRANGER = "02:00:00:00:99:99"
MIB = 1024 * 1024
ORDER = re.compile("order (o-[0-9a-f]{16})")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImagedRoom]:
    """An image server, a PC with BIOS and one with UEFI, both off, their disks empty."""
    folder = tmp_path_factory.mktemp("image")
    with build_room(ROOM, 1, folder / "room", names=lambda seat: f"{ROOM}-{seat:02d}") as pcs:
        pcs.hosts[0].use_stock()
        room = make_room(pcs, folder, FIRMWARES)
        try:
            set_up(room, small_image(packages=PACKAGES))
            for pc in room.virtual:
                pc.watch()
            yield room
        finally:
            for pc in room.virtual:
                pc.close()


def test_who_is_not_in_the_inventory_gets_nothing(room: ImagedRoom) -> None:
    script = str(PROJECT / "tests" / "support" / "network_boot.py")
    inside = ("ip", "netns", "exec", room.pcs.record.place.name)
    answers = run(*inside, sys.executable, script, STRANGER, "--arch", "0", "--interface", "br0").stdout
    assert answers == ""


def test_empty_pcs_are_woken_imaged_read_back_and_say_what_they_are(room: ImagedRoom) -> None:
    seats = [room.seat(pc) for pc in room.virtual]
    said = room.run("image", *seats)
    for seat in seats:
        evidence = room.evidence(seat)
        assert evidence["outcome"] == "ok", evidence
        assert f"{seat} receiving" in said or f"{seat} writing" in said, said
    for pc in room.virtual:
        assert room.ssh(pc, "hostname") == room.seat(pc)
    first, second = ({room.ssh(pc, f"cat {path}") for pc in room.virtual} for path in ("/etc/machine-id", HOST_KEY))
    assert len(first) == len(second) == len(room.virtual), "two PCs of one image are the same"


def test_who_got_nothing_is_in_the_log(room: ImagedRoom) -> None:
    refused = {entry.body["event"]["about"] for entry in room.entries("image.refused")}
    assert STRANGER in refused


def test_the_same_again_fetches_next_to_nothing_and_a_control_node_that_dies_is_not_missed(room: ImagedRoom) -> None:
    pc = room.virtual[0]
    seat, before = room.seat(pc), len(ORDER.findall(pc.console))
    running = room.start("run", room.change("image", seat))
    wait_until(lambda: len(ORDER.findall(pc.console)) > before, 240)
    running.kill()
    running.communicate()
    room.resume()
    evidence, orders = room.evidence(seat), ORDER.findall(pc.console)
    assert (evidence["outcome"], evidence["values"]["order"]) == ("ok", orders[-1]), evidence
    assert len(orders) == before + 1, "it was imaged twice"
    # What makes a PC this one lies in a few cells of the image, which are put right first.
    assert evidence["values"]["fetched_bytes"] < 8 * MIB


def test_an_imaged_pc_is_patched_like_any_other(room: ImagedRoom) -> None:
    pc = room.virtual[1]
    room.bring_demo_packages(pc)
    said = room.run("patch", room.seat(pc))
    assert room.evidence(room.seat(pc), "patch")["outcome"] == "ok", said
    assert room.ssh(pc, f"dpkg-query -W -f \\${{Version}} {DEMO}") == NEW
