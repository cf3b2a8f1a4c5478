"""A reference PC is captured by an approved run, over a real image server, and becomes an image.

The PC is a host of the testbed, which restarts and starts as before. What it would do in between is done by the same
program on a disk in a file: no host of the testbed starts from the network.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.errors import LabError
from lab_tool.imaging.deploy.run import run
from lab_tool.imaging.deploy.situation import from_command_line
from lab_tool.imaging.orders import control_key
from lab_tool.imaging.orders.over_ssh import OverSsh
from lab_tool.imaging.orders.parts import incoming, verify
from lab_tool.imaging.store.store import Store
from lab_tool.log.entry import Entry
from tests.conftest import BuildRoom
from tests.integration.conftest import HOST_FAILED, LabRoom, school_around, wait_until
from tests.integration.image_server_room import ImageServerRoom
from tests.support.school import DIRECTOR
from tests.testbed import boot
from tests.testbed.errors import RoomError
from tests.unit.imaging.build.conftest import MIB, MakeTree, builders_only, disk, ext4, sh, tree

__all__ = ["tree"]
pytestmark = [pytest.mark.hosts, builders_only]
IMAGE = "from-a-pc"


@dataclass(frozen=True, slots=True)
class CaptureRoom:
    """An image server, a PC, and the disk that it has while it does not run."""

    room: ImageServerRoom
    disk: Path
    base: Path

    @property
    def lab(self) -> LabRoom:
        """The school."""
        return self.room.lab

    @property
    def system(self) -> int:
        """The first process of the system that runs on the PC, seen from outside; 0 for none."""
        try:
            return boot.leader(self.room.pc.place)
        except RoomError:
            return 0

    def capture(self, code: int = 0) -> str:
        """Request, approve and run; what `lab run` said."""
        where = ("image_capture", "--host", self.room.pc.name, "--why", "Reference PC")
        change = str(self.lab.json("change", "request", *where)["id"])
        self.lab.lab("change", "approve", change, person=DIRECTOR)
        ended = threading.Event()
        pc = threading.Thread(target=self._as_the_pc, args=(ended, self.system), daemon=True)
        pc.start()
        try:
            return self.lab.lab("run", change, code=code)
        finally:
            ended.set()
            pc.join(60)

    def _as_the_pc(self, ended: threading.Event, system: int) -> None:
        """Once it was restarted, ask the server what to do, and do it."""
        path = f"/boot/{self.room.pc.mac.replace(':', '-')}.args"
        while not ended.wait(1):
            if self.system == system:
                continue
            line = self.room.get(path)[1].decode().strip()
            if line:
                situation = replace(from_command_line(line), base=self.base, disk=str(self.disk))
                run(situation, lambda text: None)
                return

    def evidence(self) -> Entry:
        """What was read back last."""
        entries = self.lab.entries("evidence.read")
        return [entry for entry in entries if entry.body["evidence"]["verb"] == "image_capture"][-1]


@pytest.fixture(scope="module")
def there(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaptureRoom]:
    """The image server is set up; the disk is empty."""
    pcs = room(3, name="capture", names=lambda seat: f"a301-{seat:02d}")
    pcs.hosts[0].use_stock()
    folder = tmp_path_factory.mktemp("capture")
    built = ImageServerRoom(LabRoom(pcs, school_around(pcs, folder / "s")))
    built.add_image(1)
    built.add_deploy_system()
    assert built.play().outcome == "changed"
    base = folder / "base"
    for name in ("etc/lab/trust", "sys/class/net/eth0", "sys/block", "run"):
        (base / name).mkdir(parents=True)
    (base / "etc/lab/trust/signers").write_text(control_key.public_line(built.settings) + "\n", "ascii")
    shutil.copy(built.settings.images / "deploy" / built.deploy / "deploy.json", base / "etc/lab/deploy.json")
    (base / "sys/class/net/eth0/address").write_text(f"{built.pc.mac}\n", "ascii")
    variables = {"image_server": built.server.name, "image_deploy_system": built.deploy, "image_start_timeout": 240}
    path = built.settings.inventory / "group_vars" / "kind_computer_lab.yml"
    known: dict[str, Any] = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(yaml.safe_dump({**known, **variables}), encoding="utf-8")
    yield CaptureRoom(built, folder / "disk.img", base)


def test_a_pc_is_captured_starts_as_before_and_becomes_an_image(
    there: CaptureRoom, tree: MakeTree, tmp_path: Path
) -> None:
    disk(there.disk, "gpt", [("L", ext4(tree(), tmp_path / "system"), 64)])
    before = hashlib.sha256(there.disk.read_bytes()).hexdigest()
    known = there.room.settings.known_hosts.read_bytes()
    system = there.system
    said = there.capture()
    evidence = there.evidence().body["evidence"]
    assert evidence["outcome"] == "ok", said
    assert there.system != system
    assert hashlib.sha256(there.disk.read_bytes()).hexdigest() == before
    assert there.room.settings.known_hosts.read_bytes() == known
    folder = incoming(there.room.settings, evidence["values"]["order"])
    assert verify(folder, evidence["values"]["cells"], lambda done, total: None).cells > 0
    where = ("image", "capture", there.room.pc.name, "--name", IMAGE)
    made = there.lab.json(*where, "--changes", "As the PC was")
    assert made["source"]["host"] == there.room.pc.name
    assert made["source"]["run"] == there.lab.last_run()
    one = Store(there.room.settings.images).find(made["id"])
    assert (one.manifest.kind, one.manifest.name) == ("capture", IMAGE)


def test_a_rehearsal_restarts_nobody_and_is_no_capture(there: CaptureRoom) -> None:
    system, pc = there.system, there.room.pc.name
    said = there.lab.lab("plan", "image_capture", "--host", pc)
    evidence = there.evidence().body
    assert evidence["check"] is True
    assert (evidence["evidence"]["reason"], evidence["evidence"]["values"]) == ("would be captured", {}), said
    assert there.system == system


def test_a_pc_at_which_somebody_works_is_put_off(there: CaptureRoom) -> None:
    room, options = there.room, ["-tt", "-F", str(there.lab.pcs.folder / "ssh_config"), "-o", "BatchMode=yes"]
    system = there.system
    with subprocess.Popen(["ssh", *options, room.pc.name, "sleep 3600"], stdin=subprocess.DEVNULL) as login:
        wait_until(lambda: "lab-admin" in room.pc.run("who").stdout)
        there.capture()
        login.terminate()
    evidence = there.evidence().body["evidence"]
    assert (evidence["outcome"], evidence["values"]) == ("deferred", {})
    assert there.system == system
    # The order was taken back: the PC's next start carries nothing out.
    assert room.get(f"/boot/{room.pc.mac.replace(':', '-')}.args")[1].strip() == b""


def test_what_the_pc_says_was_wrong_is_the_outcome_and_no_image(there: CaptureRoom) -> None:
    with there.disk.open("wb") as out:
        out.truncate(64 * MIB)
    said = there.capture(code=HOST_FAILED)
    evidence = there.evidence().body["evidence"]
    assert (evidence["outcome"], evidence["values"]) == ("failed", {})
    assert "no partition table" in evidence["reason"], said


def test_a_server_with_another_host_key_is_asked_for_nothing(there: CaptureRoom, tmp_path: Path) -> None:
    room, other = there.room, tmp_path / "other"
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    state = tmp_path / "state"
    (state / "keys").mkdir(parents=True)
    shutil.copy(room.settings.keys / "ssh", state / "keys/ssh")
    (state / "known_hosts").write_text(f"{room.server.address} {other.with_suffix('.pub').read_text('ascii')}")
    order = next((room.settings.images / "incoming").iterdir()).name
    right = OverSsh(room.settings, room.server.address, room.lab.pcs.user, 22, order)
    assert "table.json" in right.sizes()
    wrong = replace(right, settings=replace(room.settings, state=state))
    with pytest.raises(LabError, match="verification failed"):
        wrong.sizes()
