"""A school whose control node is this machine, with a real image server and virtual PCs with empty disks."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab_tool.clock import utc_now
from lab_tool.core.orders import Desk
from lab_tool.imaging.store.draft import Draft
from lab_tool.imaging.store.record import add_image
from lab_tool.imaging.store.store import StoredImage
from lab_tool.log.query import Query, find
from lab_tool.school.load import load_school
from lab_tool.settings import PROJECT, Settings
from tests.integration.conftest import REFUSED, LabRoom
from tests.support.school import DIRECTOR, TECHNICIAN, Seat, make_school
from tests.testbed.packages import REPOSITORY
from tests.testbed.places import HostPlace
from tests.testbed.room import TestHost, TestRoom
from tests.vm.netboot import Firmware, VirtualPc

ROOM, IMAGE, DEMO = "a301", "debian-small", "lab-demo-editor"


@dataclass(frozen=True, slots=True)
class ImagedRoom(LabRoom):
    """Seat 1 is the image server, the others are virtual PCs; seats after them are known and have no PC."""

    virtual: tuple[VirtualPc, ...]

    @property
    def server(self) -> TestHost:
        """The image server."""
        return self.pcs.hosts[0]

    @property
    def settings(self) -> Settings:
        """The control node's."""
        return Settings(PROJECT, self.school.inventory, self.school.state)

    def seat(self, pc: VirtualPc) -> str:
        """The name of a PC's seat."""
        return f"{ROOM}-{pc.place.seat:02d}"

    def change(self, verb: str, *seats: str) -> str:
        """A change of seats that the technician requested and the director approved."""
        hosts = [word for seat in seats for word in ("--host", seat)]
        change = str(self.json("change", "request", verb, *hosts, "--why", "Term starts")["id"])
        self.lab("change", "approve", change, person=DIRECTOR)
        return change

    def run(self, verb: str, *seats: str) -> str:
        """Request, approve and run a verb on seats; what `lab run` said."""
        return self.lab("run", self.change(verb, *seats))

    def resume(self) -> None:
        """Go on with the run that was cut off, once the last of its processes has let go."""
        run = self.last_run()
        limit = time.monotonic() + 60
        while (done := self.school.lab("run", "--resume", run)).returncode == REFUSED:
            assert time.monotonic() < limit, done.stderr
            time.sleep(1)
        assert done.returncode == 0, done.stdout + done.stderr

    def add_image(self, draft: Draft) -> StoredImage:
        """A version of an image, made by the technician."""
        desk = Desk(self.settings, load_school(self.settings.inventory), self.school.key(TECHNICIAN), utc_now)
        return add_image(desk, draft).image

    def promote(self, one: StoredImage) -> None:
        """Give it to all, by somebody who did not make it; no canary has tried it."""
        why = ("--why", "Term starts", "--without-canary", "a room for tests")
        self.lab("image", "promote", one.ref, "--ring", "all", *why, person=DIRECTOR)

    def set(self, **variables: object) -> None:
        """Variables for every machine, beside those that are there."""
        path = self.school.inventory / "group_vars" / "kind_computer_lab.yml"
        known = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(yaml.safe_dump({**known, **variables}), encoding="utf-8")

    def evidence(self, seat: str, verb: str = "image") -> dict[str, Any]:
        """What was read back from a seat last."""
        entries = find(self.settings.log, Query(kinds=("evidence.read",), host=seat))
        return dict([entry for entry in entries if entry.body["evidence"]["verb"] == verb][-1].body["evidence"])

    def bring_demo_packages(self, pc: VirtualPc) -> None:
        """Let a PC's apt use the demo packages of the testbed and nothing else, one of them in its old version."""
        files = [REPOSITORY.lstrip("/"), "etc/apt/sources.list.d/lab-demo.sources"]
        packed = subprocess.run(["tar", "-C", self.server.root, "-cz", *files], check=True, capture_output=True).stdout
        self.ssh(pc, "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d && tar -C / -xz", data=packed)
        self.ssh(pc, f"apt-get -q update && apt-get -qy install {DEMO}=1.0")

    def ssh(self, pc: VirtualPc, text: str, data: bytes = b"") -> str:
        """Run shell text as root on a PC over SSH, with the keys that the control node knows."""
        options = f"-F none -o UserKnownHostsFile={self.settings.known_hosts} -o StrictHostKeyChecking=yes"
        who = f"{self.pcs.user}@{pc.address}"
        argv = ["ssh", *options.split(), "-i", str(self.pcs.private_key), who, "sudo", "sh", "-c", f"'{text}'"]
        done = subprocess.run(argv, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.decode().strip()


def make_room(pcs: TestRoom, folder: Path, firmwares: list[Firmware], strangers: int = 1) -> ImagedRoom:
    """The school around the server, and a PC that is off for each of these firmwares; `strangers` seats stay empty."""
    places = [HostPlace(pcs.record.place, 1 + number) for number in range(1 + len(firmwares) + strangers)]
    seats = [Seat(f"{ROOM}-{place.seat:02d}", str(place.address), place.mac) for place in places]
    school = make_school(folder / "school", ROOM, seats, ssh_key=pcs.private_key, known_hosts=pcs.known_hosts)
    virtual = tuple(
        VirtualPc(place, folder / f"pc{place.seat}", firmware=firmware)
        for place, firmware in zip(places[1:], firmwares, strict=False)
    )
    room = ImagedRoom(pcs, school, virtual)
    place = pcs.record.place
    room.set(
        image_server=pcs.hosts[0].name,
        image_systems=[IMAGE],
        image_prefix=place.network.prefixlen,
        image_gateway=str(place.gateway),
        image_server_dhcp="full",
        image_server_reserve_mib=16,
        image_server_wake_interval=1,
        image_server_gather=20,
        image_server_arguments="console=ttyS0",
    )
    return room


def set_up(room: ImagedRoom, draft: Draft) -> StoredImage:
    """Image server, deploy system and image, each by its own command, as the page `Image a room` tells it."""
    room.lab("log", "init")
    room.run("image_server", room.server.name)
    one = room.add_image(draft)
    room.promote(one)
    room.set(image_deploy_system=room.json("image", "deploy-system", "build")["id"])
    room.run("image_server", room.server.name)
    return one
