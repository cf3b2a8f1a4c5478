"""Empty PCs become what the inventory says: from the network, over a real image server, to SSH and patch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.small_image import small_image
from tests.testbed.room import build_room
from tests.vm.imaged_room import ROOM, ImagedRoom, make_room, set_up
from tests.vm.netboot import Firmware

FIRMWARES: list[Firmware] = ["bios", "uefi"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImagedRoom]:
    """An image server, a PC with BIOS and one with UEFI, both off, their disks empty."""
    folder = tmp_path_factory.mktemp("image")
    with build_room(ROOM, 1, folder / "room", names=lambda seat: f"{ROOM}-{seat:02d}") as pcs:
        pcs.hosts[0].use_stock()
        room = make_room(pcs, folder, FIRMWARES)
        try:
            set_up(room, small_image())
            for pc in room.virtual:
                pc.watch()
            yield room
        finally:
            for pc in room.virtual:
                pc.close()


def test_empty_pcs_are_woken_imaged_read_back_and_say_what_they_are(room: ImagedRoom) -> None:
    seats = [room.seat(pc) for pc in room.virtual]
    said = room.run("image", *seats)
    for seat in seats:
        evidence = room.evidence(seat)
        assert evidence["outcome"] == "ok", evidence
        assert f"{seat} receiving" in said or f"{seat} writing" in said, said
    for pc in room.virtual:
        assert room.ssh(pc, "hostname") == room.seat(pc)
