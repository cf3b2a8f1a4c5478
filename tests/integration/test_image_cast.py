"""A room hears one stream, in network namespaces: all arrives whole, whatever happens to a PC or to the server."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab_tool.imaging.format.datagrams import Join
from tests.support.cast_image import CastImage, make_image
from tests.support.cast_network import CastNetwork, reason_not_available
from tests.support.cast_room import CastRoom, Running, intact, until

CELLS = 80


@pytest.fixture(scope="module")
def network() -> Iterator[CastNetwork]:
    """A server and four PCs."""
    reason = reason_not_available()
    if reason and os.environ.get("LAB_REQUIRE_HOSTS") == "1":
        pytest.fail(f"LAB_REQUIRE_HOSTS=1, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)
    with CastNetwork(4) as made:
        yield made


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> CastImage:
    """The image that was ordered."""
    return make_image(tmp_path_factory.mktemp("image") / "store", CELLS)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> CastImage:
    """Another one of the same shape: cell for cell at the same place."""
    return make_image(tmp_path_factory.mktemp("other") / "store", CELLS, seed=2)


@pytest.fixture
def room(network: CastNetwork, image: CastImage, tmp_path: Path) -> Iterator[CastRoom]:
    """The room, its PCs with empty disks; the server answers by unicast."""
    with CastRoom(network, tmp_path) as made:
        made.serve(image)
        yield made
    for pc in network.pcs:
        network.disturb(pc, 0)


def _join(image: CastImage) -> Join:
    return Join("0123456789abcdef", "239.255.70.1", 9100, image.id)


def _all(room: CastRoom, image: CastImage, count: int = 4, patience: float = 60) -> list[Running]:
    return [room.pc(at, image, _join(image), patience=patience) for at in range(count)]


def test_four_pcs_hear_it_whole(room: CastRoom, image: CastImage) -> None:
    pcs = _all(room, image)
    sender = room.send(image, _join(image), 4)
    said = [pc.end() for pc in pcs]
    assert [(one["heard"], one["fetched"], one["complete"]) for one in said] == [(CELLS, 0, True)] * 4
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 4
    sent = sender.end()
    # Once for all of them.
    assert (sent["cells"], sent["dropped"]) == (CELLS, 0)


def test_another_images_stream_is_refused_and_nothing_of_it_is_written(
    room: CastRoom, image: CastImage, other: CastImage
) -> None:
    # The same group, the same port, even the same name: only the image is another.
    wrong = replace(_join(image), image=other.id)
    sender = room.send(other, wrong, 2)
    room.pc(3, other, wrong)
    disk = room.folder / "disk0"
    pc = room.pc(0, image, _join(image), patience=2)
    said = pc.end()
    assert said["refused"] == f"a stream of the image {other.id[:12]}, and not of {image.id[:12]}"
    assert said["heard"] == 0
    # What it has now came by unicast, and is what was ordered.
    assert said["fetched"] == CELLS
    assert intact(image, [disk]) == [True]
    assert sender.end()["cells"] == CELLS


def test_an_invitation_to_another_image_is_refused(room: CastRoom, image: CastImage, other: CastImage) -> None:
    said = room.pc(0, image, _join(other)).end()
    assert said["refused"] == f"an invitation to the image {other.id[:12]}, and not to {image.id[:12]}"
    assert (said["heard"], said["fetched"]) == (0, CELLS)


def test_two_streams_on_one_group_do_not_mix(room: CastRoom, image: CastImage, other: CastImage) -> None:
    wrong = replace(_join(image), image=other.id)
    pcs = [room.pc(0, image, _join(image)), room.pc(1, image, _join(image))]
    others = [room.pc(2, other, wrong), room.pc(3, other, wrong)]
    room.send(image, _join(image), 2)
    # Another machine's, as two servers that know nothing of each other would.
    argv = ["--root", str(other.root), "--image", other.id, "--stream", wrong.stream, "--group", wrong.group]
    argv += ["--port", str(wrong.port), "--interface", room.network.pcs[3].address, "--receivers", "1", "--rate", "40"]
    room.program(room.network.pcs[3], "lab_tool.imaging.server.cast_send", *argv)
    for pc in pcs:
        said = pc.end()
        assert (said["heard"], said["fetched"], said["refused"]) == (CELLS, 0, "")
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 2
    assert others[0].end()["heard"] == CELLS
    assert intact(other, [others[0].disk]) == [True]


def test_cells_that_are_not_what_they_are_said_to_be_are_fetched(
    room: CastRoom, image: CastImage, tmp_path: Path
) -> None:
    damaged = replace(image, root=tmp_path / "damaged")
    shutil.copytree(image.root, damaged.root)
    content = bytearray(damaged.pack.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.pack.write_bytes(content)
    pcs = _all(room, image, 2)
    room.send(damaged, _join(image), 2)
    for pc in pcs:
        said = pc.end()
        assert (said["heard"], said["fetched"]) == (CELLS - 1, 1)
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 2


def test_a_pc_that_dies_hears_the_rest_when_it_is_back_and_fetches_what_it_missed(
    room: CastRoom, image: CastImage
) -> None:
    pcs = _all(room, image)
    sender = room.send(image, _join(image), 4, rate=25, patience=30)
    until(lambda: pcs[0].heard > 10)
    pcs[0].signal(signal.SIGKILL)
    until(lambda: pcs[1].heard > pcs[0].heard + 5)
    (back,) = room.late(sender, image, _join(image), 0)
    said = [back.end(), *(pc.end() for pc in pcs[1:])]
    assert said[0]["already"] > 10
    assert said[0]["heard"] > 0
    assert said[0]["already"] + said[0]["heard"] + said[0]["fetched"] == CELLS
    assert [one["complete"] for one in said] == [False, True, True, True]
    assert intact(image, [back.disk, *(pc.disk for pc in pcs[1:])]) == [True] * 4
    sender.end()


def test_who_comes_late_hears_the_rest_and_fetches_the_beginning(room: CastRoom, image: CastImage) -> None:
    pcs = _all(room, image, 3)
    sender = room.send(image, _join(image), 3, rate=25, patience=30)
    until(lambda: pcs[0].heard > CELLS // 3)
    (late,) = room.late(sender, image, _join(image), 3)
    said = late.end()
    assert said["heard"] > 0
    assert said["fetched"] > CELLS // 3
    assert [pc.end()["fetched"] for pc in pcs] == [0] * 3
    assert intact(image, [late.disk, *(pc.disk for pc in pcs)]) == [True] * 4
    # For one, it did not go round again.
    assert sender.end()["cells"] == CELLS


def test_two_who_come_late_hear_the_beginning_afterwards(room: CastRoom, image: CastImage) -> None:
    pcs = _all(room, image, 2)
    sender = room.send(image, _join(image), 2, rate=25, patience=30)
    until(lambda: pcs[0].heard > CELLS // 4)
    late = room.late(sender, image, _join(image), 2, 3)
    said = [pc.end() for pc in (*pcs, *late)]
    assert sum(one["fetched"] for one in said[:2]) == 0
    # The one that began earlier of the two is whole earlier; the last few cells of the other come by unicast.
    assert sum(one["heard"] for one in said[2:]) > 2 * CELLS * 0.8
    assert intact(image, [pc.disk for pc in (*pcs, *late)]) == [True] * 4
    assert sender.end()["cells"] > CELLS


def test_a_pc_that_stands_still_is_left_behind_and_catches_up(room: CastRoom, image: CastImage) -> None:
    pcs = _all(room, image)
    sender = room.send(image, _join(image), 4, patience=2)
    until(lambda: pcs[0].heard > 10)
    pcs[0].signal(signal.SIGSTOP)
    assert [pc.end()["heard"] for pc in pcs[1:]] == [CELLS] * 3
    assert sender.end()["dropped"] == 1
    pcs[0].signal(signal.SIGCONT)
    said = pcs[0].end()
    assert not said["complete"]
    assert said["heard"] + said["fetched"] == CELLS
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 4


def test_a_pc_with_a_slow_disk_holds_up_the_room_only_for_a_while(room: CastRoom, image: CastImage) -> None:
    pcs = [*_all(room, image, 3), room.pc(3, image, _join(image), pause=0.5)]
    sender = room.send(image, _join(image), 4, rate=0, patience=1)
    assert [pc.end()["heard"] for pc in pcs[:3]] == [CELLS] * 3
    assert sender.end()["dropped"] == 1
    pcs[3].signal(signal.SIGKILL)


def test_lost_datagrams_are_sent_again(room: CastRoom, image: CastImage) -> None:
    for pc, percent in zip(room.network.pcs, (2, 10, 5, 0), strict=True):
        room.network.disturb(pc, percent)
    pcs = _all(room, image)
    sender = room.send(image, _join(image), 4)
    assert [pc.end()["heard"] for pc in pcs] == [CELLS] * 4
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 4
    assert sender.end()["repaired"] > 0


def test_a_pc_on_a_broken_cable_is_left_to_unicast(room: CastRoom, image: CastImage) -> None:
    room.network.disturb(room.network.pcs[0], 60)
    pcs = _all(room, image)
    sender = room.send(image, _join(image), 4)
    said = [pc.end() for pc in pcs]
    assert [one["complete"] for one in said] == [False, True, True, True]
    assert said[0]["heard"] + said[0]["fetched"] == CELLS
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 4
    assert sender.end()["dropped"] == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_sender_dies_everybody_goes_on_by_unicast(room: CastRoom, image: CastImage, number: int) -> None:
    pcs = _all(room, image, patience=4)
    sender = room.send(image, _join(image), 4, rate=25)
    until(lambda: all(pc.heard > 10 for pc in pcs))
    sender.signal(number)
    said = [pc.end() for pc in pcs]
    ended = "the stream fell silent" if number == signal.SIGKILL else "the stream ended"
    assert {one["reason"] for one in said} == {ended}
    for one in said:
        assert one["heard"] > 10
        assert one["heard"] + one["fetched"] == CELLS
    assert intact(image, [pc.disk for pc in pcs]) == [True] * 4


def test_without_a_stream_nobody_waits_for_ever(room: CastRoom, image: CastImage) -> None:
    said = room.pc(0, image, _join(image), patience=1).end()
    assert said["reason"] == "no stream was heard"
    assert (said["heard"], said["fetched"]) == (0, CELLS)


def test_a_sender_that_nobody_hears_ends(room: CastRoom, image: CastImage) -> None:
    pcs = _all(room, image, 2)
    sender = room.send(image, _join(image), 2, rate=25, patience=1)
    until(lambda: all(pc.heard > 5 for pc in pcs))
    for pc in pcs:
        pc.signal(signal.SIGKILL)
    said = sender.end()
    assert said["reason"] == "all were dropped"
    assert said["cells"] < CELLS


def test_two_rooms_at_the_same_time(room: CastRoom, image: CastImage, other: CastImage, tmp_path: Path) -> None:
    both = tmp_path / "both"
    for one in (image, other):
        shutil.copytree(one.root, both, dirs_exist_ok=True)
    daemon = room.program(
        room.network.server, "tests.support.cast_daemon", room.network.server.address, str(both), image.id, other.id
    )
    assert daemon.child.stdout
    joins = [Join.of({"do": "join", **answer}) for answer in json.loads(daemon.child.stdout.readline())]
    assert len({join.group for join in joins}) == len({join.port for join in joins}) == 2
    images = (image, image, other, other)
    pcs = [room.pc(at, images[at], joins[at // 2]) for at in range(4)]
    assert [pc.end()["heard"] for pc in pcs] == [CELLS] * 4
    assert intact(image, [pc.disk for pc in pcs[:2]]) + intact(other, [pc.disk for pc in pcs[2:]]) == [True] * 4
    assert daemon.end()["most"] == 2
