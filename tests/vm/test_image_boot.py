"""The deploy system on virtual PCs that start from the network as real ones do, and from a stick."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab_tool.imaging.deploy_system.api import build_deploy_system, make_stick
from lab_tool.settings import PROJECT, Settings
from lab_tool.signature import public_line
from tests.testbed.places import NETNS, HostPlace
from tests.testbed.programs import run
from tests.testbed.room import TestRoom, build_room
from tests.vm.boot_server import BootServer
from tests.vm.netboot import Firmware, VirtualPc

SERVER_SEAT, FIRST_SEAT, PCS = 1, 2, 6
NewPc = Callable[..., VirtualPc]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRoom]:
    """A room whose first seat is the boot server's."""
    with build_room("boot", 1, tmp_path_factory.mktemp("room") / "room") as room:
        yield room


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a deploy system, and that one's id."""
    folder = tmp_path_factory.mktemp("store")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
    settings = Settings(PROJECT, PROJECT / "inventory", folder / "state")
    return folder, build_deploy_system(settings, folder, signers=[public_line(folder / "key")], pins=[])


@pytest.fixture
def server(room: TestRoom, store: tuple[Path, str], tmp_path: Path) -> Iterator[BootServer]:
    """A boot server that offers it."""
    clients = [HostPlace(room.record.place, seat) for seat in range(FIRST_SEAT, FIRST_SEAT + PCS)]
    at = HostPlace(room.record.place, SERVER_SEAT)
    with BootServer(at, clients, store[0] / "deploy", tmp_path / "server") as server:
        server.offer(store[1])
        yield server


@pytest.fixture
def new_pc(room: TestRoom, tmp_path: Path) -> Iterator[NewPc]:
    """Makes PCs, each on the next seat."""
    made: list[VirtualPc] = []

    def make(firmware: Firmware = "bios") -> VirtualPc:
        place = HostPlace(room.record.place, FIRST_SEAT + len(made))
        made.append(VirtualPc(place, tmp_path / f"pc{len(made)}", firmware=firmware))
        return made[-1]

    yield make
    for pc in made:
        pc.close()


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_an_empty_pc_starts_from_the_network_and_asks_what_it_is_to_become(
    firmware: Firmware, new_pc: NewPc, server: BootServer, store: tuple[Path, str]
) -> None:
    pc = new_pc(firmware)
    pc.start()
    pc.wait_for("LAB: deploy system")
    pc.wait_for(f"LAB: connected: eth0 {pc.mac} {pc.address}/")
    pc.wait_for("LAB: trying again")
    claim = server.asked("/api/claim")[0]
    assert claim["from"] == pc.address
    assert claim["body"]["mac"] == pc.mac
    assert claim["body"]["deploy"] == store[1]
    assert claim["body"]["facts"]["firmware"] == firmware


def test_a_refused_pc_comes_back_with_a_new_token_and_gives_nobody_a_shell(new_pc: NewPc, server: BootServer) -> None:
    pc = new_pc()
    pc.start()
    pc.wait_for("LAB: trying again")
    for keys in ("ret", "ctrl-c", "ctrl-z", "ctrl-d", "alt-f2", "ret", "alt-sysrq-i", "alt-sysrq-e"):
        pc.press(keys)
    # Nothing of it can be reached over the network either.
    assert not [port for port in range(1, 1024) if _answers(pc.address, port)]
    _wait_until(lambda: len(server.asked("/api/claim")) > 1)
    first, second = (claim["body"]["token"] for claim in server.asked("/api/claim")[:2])
    assert first != second
    assert pc.running


def test_without_a_cable_it_waits_for_one(new_pc: NewPc, server: BootServer, store: tuple[Path, str]) -> None:
    stick = server.folder / "stick.img"
    make_stick(store[0], store[1], stick, server=server.url)
    pc = new_pc()
    pc.start(stick=stick, network=False)
    pc.wait_for("LAB: no address from the network")
    pc.plug(connected=True)
    pc.wait_for("LAB: connected")
    _wait_until(lambda: server.asked("/api/claim"))


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-secure"])
def test_a_stick_does_the_same_where_the_firmware_can_t(
    firmware: Firmware, new_pc: NewPc, server: BootServer, store: tuple[Path, str]
) -> None:
    stick = server.folder / "stick.img"
    make_stick(store[0], store[1], stick, server=server.url)
    pc = new_pc(firmware)
    pc.start(stick=stick)
    pc.wait_for("LAB: trying again")
    assert not server.asked("/boot.ipxe")
    assert server.asked("/api/claim")[0]["body"]["mac"] == pc.mac


def test_what_is_not_signed_does_not_start_under_secure_boot(
    new_pc: NewPc, server: BootServer, store: tuple[Path, str]
) -> None:
    stick = server.folder / "stick.img"
    make_stick(store[0], store[1], stick, server=server.url)
    unsigned = store[0] / "deploy" / store[1] / "boot-area/BOOTX64.EFI"
    run("mcopy", "-o", "-i", f"{stick}@@{2 << 20}", unsigned, "::/EFI/BOOT/BOOTX64.EFI")
    pc = new_pc("uefi-secure")
    pc.start(stick=stick)
    pc.wait_for("Access Denied")
    assert "LAB:" not in pc.console


def test_a_stick_that_is_older_than_the_order_says_so(
    new_pc: NewPc, server: BootServer, store: tuple[Path, str]
) -> None:
    stick = server.folder / "stick.img"
    make_stick(store[0], store[1], stick, server=server.url)
    server.offer("0" * 64)
    pc = new_pc()
    pc.start(stick=stick)
    pc.wait_for("wants another deploy system than this stick's")
    assert not server.asked("/api/claim")


def test_a_pc_that_is_off_hears_the_magic_packet(new_pc: NewPc, server: BootServer) -> None:
    pc, other = new_pc(), new_pc()
    pc.watch()
    other.watch()
    inside = ("nsenter", f"--net={NETNS / server.at.netns}")
    packet = "ff" * 6 + pc.mac.replace(":", "") * 16
    text = (
        f"import socket as s; u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.setsockopt(1, 6, 1); "
        f"u.sendto(bytes.fromhex('{packet}'), ('{server.at.room.network.broadcast_address}', 9))"
    )

    def woken() -> bool:
        run(*inside, sys.executable, "-c", text)
        return pc.running

    _wait_until(woken)
    assert not other.running


def test_built_twice_it_is_the_same_to_the_last_byte(store: tuple[Path, str], tmp_path: Path) -> None:
    settings = Settings(PROJECT, PROJECT / "inventory", store[0] / "state")
    again = build_deploy_system(settings, tmp_path, signers=[public_line(store[0] / "key")], pins=[])
    assert again == store[1]
    first, second = store[0] / "deploy" / again, tmp_path / "deploy" / again
    names = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert len(names) == 8
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert sum((first / name).stat().st_size for name in ("vmlinuz", "initrd.img")) < 60_000_000


def _answers(address: str, port: int) -> bool:
    with socket.socket() as link:
        link.settimeout(1)
        return link.connect_ex((address, port)) == 0


def _wait_until(true: Callable[[], object], patience: float = 120.0) -> None:
    limit = time.monotonic() + patience
    while not true():
        assert time.monotonic() < limit
        time.sleep(1)
