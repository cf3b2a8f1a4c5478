"""An image server on a real PC, and two PCs beside it that ask as if they had just been switched on."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import yaml

from lab_tool.canonical import dump
from lab_tool.clock import utc_now, utc_text
from lab_tool.core.orders import Desk
from lab_tool.imaging.format.order import Order, OrderedSystem, Personal
from lab_tool.imaging.orders.control_key import make_control_key
from lab_tool.imaging.orders.server import ImageServer
from lab_tool.imaging.pinned import Pinned
from lab_tool.imaging.store.deploy_systems import find_deploy_system, record_built
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.promote import promote
from lab_tool.imaging.store.record import add_image
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.log.query import Query, find
from lab_tool.school.load import load_school
from lab_tool.settings import PROJECT, Settings
from tests.integration.conftest import LabRoom
from tests.integration.patch_room import Result
from tests.support.school import DIRECTOR, TECHNICIAN
from tests.testbed.programs import run
from tests.testbed.room import TestHost

MIB = 1024 * 1024
DEPLOY_FILES = {"vmlinuz": b"a kernel", "initrd.img": bytes(range(256)) * 4096}


class ImageServerRoom:
    """The server, the PCs, and the control node's store."""

    def __init__(self, lab: LabRoom) -> None:
        self.lab = lab
        self.server, self.pc, self.other = lab.hosts
        self.settings = Settings(PROJECT, lab.school.inventory, lab.school.state)
        make_control_key(self.settings)
        self.given: dict[str, Any] = {
            "image_server_dhcp": "full", "image_server_reserve_mib": 1, "image_server_wake_interval": 0,
        }  # fmt: skip
        self.versions: dict[str, str] = {}
        self.deploy = ""
        self.pin = ""

    def add_image(self, seed: int, mebibytes: int = 3) -> StoredImage:
        """A next version of `debian-lab` in the store, made by the technician, promoted by the director."""
        device = self.lab.school.folder / "device"
        device.write_bytes(random.Random(seed).randbytes(mebibytes * MIB))
        draft = Draft(
            name="debian-lab", family="linux", title="Debian", kind="recipe", source={"recipe": "debian-lab"},
            partitions=(DraftPartition("system", "ext4", mebibytes * MIB, device=device),),
            contents={"packages": {}, "files": {}},
        )  # fmt: skip
        added = add_image(self._desk(TECHNICIAN), draft).image
        self.give(added.id)
        return added

    def give(self, image: str) -> None:
        """Promote a version of `debian-lab`: what PCs are to have from now on."""
        promote(self._desk(DIRECTOR), image, "all", "Term starts", "a room for tests")
        self.versions = {"debian-lab": image}

    def add_deploy_system(self) -> str:
        """Files in place of a deploy system, and what PCs are to start from now on."""
        about = {"files": {name: hashlib.sha256(data).hexdigest() for name, data in DEPLOY_FILES.items()}}
        self.deploy = hashlib.sha256(dump(about)).hexdigest()
        folder = self.settings.images / "deploy" / self.deploy
        folder.mkdir(parents=True)
        for name, data in DEPLOY_FILES.items():
            (folder / name).write_bytes(data)
        (folder / "deploy.json").write_bytes(dump({"id": self.deploy, **about}))
        record_built(self._desk(TECHNICIAN), find_deploy_system(self.settings.images, self.deploy), {}, ())
        return self.deploy

    def _desk(self, person: str) -> Desk:
        return Desk(self.settings, load_school(self.settings.inventory), self.lab.school.key(person), utc_now)

    @property
    def store(self) -> Store:
        """The store."""
        return Store(self.settings.images)

    def play(self, check: bool = False, **more: object) -> Result:
        """Run the playbook on the server; what the log says of it."""
        said = self.said(check=check, **more)
        assert "PLAY RECAP" in said, said
        run_id = self.lab.last_run()
        outcome = find(self.settings.log, Query(run=run_id, kinds=("run.finished",)))[0].body["outcomes"]
        entries = find(self.settings.log, Query(run=run_id, kinds=("evidence.read",)))
        values = entries[0].body["evidence"]["values"] if entries else {}
        found = outcome[self.server.name]
        if values.get("pin"):
            self.pin = str(values["pin"])
        return Result(found["outcome"], found["reason"], tuple(found["changed"]), values)

    def said(self, check: bool = False, **more: object) -> str:
        """The same; what Ansible said."""
        pcs = {"image_server": self.server.name, "image_systems": ["debian-lab"], "image_versions": self.versions}
        if self.deploy:
            pcs["image_deploy_system"] = self.deploy
        hosts: dict[str, Any] = {host.name: pcs for host in (self.pc, self.other)}
        hosts[self.server.name] = {"image_server": self.server.name, **self.given, **more}
        beside = self.lab.school.folder / "beside.yml"
        beside.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        done = self.lab.school.playbook(
            "-i", str(beside), "playbooks/image_server.yml", "--limit", self.server.name,
            *(("--check", "--diff") if check else ()), ANSIBLE_INVENTORY_ENABLED="lab_rooms,yaml",
        )  # fmt: skip
        return done.stdout + done.stderr

    def asks(self, mac: str, arch: int = 0, *, ipxe: bool = False, at: str = "", host: TestHost | None = None) -> Any:
        """What a card of that MAC and firmware is answered when it asks for its start, at a PC's place."""
        where = (host or self.pc).place.netns
        inside = ("ip", "netns", "exec", where, sys.executable, "-m", "tests.support.network_boot", mac)
        more = [*(["--ipxe"] if ipxe else []), *(["--boot-server", at] if at else [])]
        done = run(*inside, "--arch", str(arch), *more, env={**os.environ, "PYTHONPATH": str(PROJECT)})
        return [json.loads(line) for line in done.stdout.splitlines()]

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and content of what the server answers over plain HTTP."""
        link = http.client.HTTPConnection(self.server.address, timeout=30)
        try:
            link.request(method, path, headers=headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    @property
    def control(self) -> ImageServer:
        """The server as the control node knows it, by its certificate."""
        return ImageServer(self.settings, self.server.name, Pinned(f"https://{self.server.address}:443", self.pin))

    def order(self, host: TestHost, image: str = "", **changed: Any) -> Order:
        """An order for a PC."""
        personal = Personal(host.name, host.address, 22, "", (), "lab", (), "Asia/Shanghai")
        systems = (OrderedSystem(image or self.versions["debian-lab"], "debian-lab", 1, True),)
        fields: dict[str, Any] = {
            "id": f"o-{random.randbytes(8).hex()}", "host": host.name, "room": "a301", "mac": host.mac,
            "action": "image", "issued": utc_text(utc_now()), "run": "r", "change": "c", "deploy": self.deploy,
            "systems": systems, "personal": personal,
        }  # fmt: skip
        return Order(**(fields | changed))

    def events(self) -> list[dict[str, Any]]:
        """What the server refused."""
        return self.control.events(0)

    def served(self, path: str) -> Path:
        """A served file, seen from outside."""
        return self.server.root / "srv/lab-image" / path
