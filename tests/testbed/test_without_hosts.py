"""What holds of the testbed on any machine, without building anything."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.testbed import available, packages, places
from tests.testbed.interruption import uninterrupted
from tests.testbed.owner import Owner
from tests.testbed.packages import Suite
from tests.testbed.places import HostPlace, RoomPlace
from tests.testbed.repository import build

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, as Linux has it")


def test_rooms_and_their_links_never_share_an_address() -> None:
    rooms = [RoomPlace(slot) for slot in range(places.ROOMS)]
    assert all(not one.network.overlaps(two.network) for one, two in itertools.pairwise(rooms))
    links = {address for room in rooms for address in (room.control, room.link)}
    assert len(links) == 2 * len(rooms)
    assert not any(link in room.network for link in links for room in rooms)
    assert all(room.network.subnet_of(places.RANGE) for room in rooms)


def test_every_seat_has_an_address_and_mac_of_its_own_and_the_bridge_too() -> None:
    room = RoomPlace(places.ROOMS - 1)
    seats = [HostPlace(room, seat) for seat in range(1, places.SEATS + 1)]
    assert len({seat.mac for seat in seats}) == len({seat.address for seat in seats} | {room.gateway}) - 1 == len(seats)
    assert room.network.broadcast_address not in {seat.address for seat in seats} | {room.gateway}
    # What the kernel takes for a device's name, at most.
    assert max(len(room.name), *(len(seat.port) for seat in seats)) <= 15


@linux
def test_a_recycled_process_number_is_somebody_else() -> None:
    me = Owner.me()
    assert me.alive
    assert not replace(me, started=me.started - 1).alive
    assert not replace(me, boot="another").alive
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    # Ended and not yet waited for: the number is still taken, the process no longer there.
    os.waitid(os.P_PID, gone, os.WEXITED | os.WNOWAIT)
    assert not replace(me, pid=gone).alive
    os.waitpid(gone, 0)


def test_ctrl_c_waits_for_what_must_be_whole() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        steps.append("done all the same")
    assert steps == ["done all the same"]


def test_why_there_are_no_hosts_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = []
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    reasons.append(available.reason_not_available.__wrapped__())
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program: None)
    reasons.append(available.reason_not_available.__wrapped__())
    monkeypatch.setattr("sys.platform", "darwin")
    reasons.append(available.reason_not_available.__wrapped__())
    assert "root" in reasons[0]
    assert "apt-get install iproute2 mmdebstrap nftables openssh-client systemd-container" in reasons[1]
    assert "darwin" in reasons[2]


def test_what_is_installed_for_the_testbed_is_what_it_asks_for() -> None:
    listed = Path(available.__file__).with_name("packages.txt").read_text(encoding="ascii").split()
    assert sorted(available.NEEDED.values()) == listed


def test_each_suite_has_an_update_pending_on_a_new_host() -> None:
    assert all(packages.pending(suite) for suite in Suite)
    assert set(packages.HELD) <= set(packages.INSTALLED)


@pytest.mark.skipif(not Path("/usr/bin/dpkg-deb").exists(), reason="dpkg-deb is not installed")
def test_the_repository_is_labelled_as_the_distribution_labels_its_own(tmp_path: Path) -> None:
    build(tmp_path / "repository", tmp_path / "work", "debian", "bookworm", "amd64")
    labels = {}
    for path in (tmp_path / "repository/dists").glob("*/Release"):
        head = path.read_text(encoding="utf-8").partition("SHA256:")[0]
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        labels[path.parent.name] = (fields["Origin"], fields["Label"], fields["Codename"])
    assert labels == {
        "bookworm": ("Debian", "Debian", "bookworm"),
        "bookworm-security": ("Debian", "Debian-Security", "bookworm-security"),
        "bookworm-updates": ("Debian", "Debian", "bookworm-updates"),
        "vendor": ("Lab Vendor", "Lab Vendor", "vendor"),
    }
