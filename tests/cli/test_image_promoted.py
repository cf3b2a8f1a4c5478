"""What PCs and image servers get is what somebody promoted who may, by the log: whatever the inventory's files say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab_tool import signature
from lab_tool.canonical import dump
from lab_tool.clock import utc_now
from lab_tool.core.orders import Desk
from lab_tool.core.plan import Plan, make_plan
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.orders.images import load_images
from lab_tool.imaging.serving import files_of_deploy_system
from lab_tool.imaging.store import promote as core
from lab_tool.imaging.store.deploy_systems import find_deploy_system, record_built
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.promotions import NAMESPACE, PROMOTED, Promotions
from lab_tool.imaging.store.record import add_image, record_act
from lab_tool.imaging.store.rings import read_versions, write_versions
from lab_tool.imaging.store.store import StoredImage
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.school.load import load_school
from lab_tool.settings import PROJECT, Settings
from tests.cli.conftest import run
from tests.support.school import DIRECTOR, TECHNICIAN, SmallSchool
from tests.unit.imaging.store.conftest import MIB, noise

SERVER = "demo-04"


@pytest.fixture
def settings(school: SmallSchool) -> Settings:
    """Where the school is."""
    return Settings(PROJECT, school.inventory, school.state)


def desk(school: SmallSchool, person: str = DIRECTOR) -> Desk:
    """The desk of a person."""
    settings = Settings(PROJECT, school.inventory, school.state)
    return Desk(settings, load_school(school.inventory), school.key(person), utc_now)


def made(school: SmallSchool, seed: int, person: str = TECHNICIAN) -> StoredImage:
    """A next version, of one partition."""
    device = school.folder / "device"
    device.write_bytes(noise(seed, MIB))
    part = DraftPartition("system", "ext4", MIB, device=device)
    contents: dict[str, Any] = {"packages": {}, "files": {}}
    return add_image(
        desk(school, person), Draft("debian-lab", "linux", "", "recipe", {}, (part,), contents)
    ).image  # fmt: skip


def promote(school: SmallSchool, one: StoredImage, ring: Any = "all") -> None:
    """By the director, who did not make it."""
    core.promote(desk(school), one.ref, ring, "Term starts", "No canary" if ring == "all" else "")


def gets(settings: Settings, one: StoredImage, *, canary: bool = False) -> bool:
    """Whether a PC gets that version, were it in the inventory."""
    try:
        load_images(settings, ["debian-lab"], {"debian-lab": one.id}, canary=canary)
    except RefusedError as error:
        assert "by the log of promotions" in error.what
        return False
    return True


def test_a_pc_gets_what_was_promoted_to_its_ring_and_nothing_else(school: SmallSchool, settings: Settings) -> None:
    first, second = made(school, 1), made(school, 2)
    assert not gets(settings, first)
    promote(school, first)
    assert gets(settings, first)
    assert gets(settings, first, canary=True)
    promote(school, second, "canary")
    assert (gets(settings, second), gets(settings, second, canary=True)) == (False, True)
    assert (gets(settings, first), gets(settings, first, canary=True)) == (True, False)
    promote(school, second)
    core.rollback(desk(school), "debian-lab", "all", "No printer")
    assert (gets(settings, first), gets(settings, second)) == (True, False)


def test_a_file_written_by_hand_gives_nobody_anything(school: SmallSchool, settings: Settings) -> None:
    one = made(school, 1)
    write_versions(settings.inventory, read_versions(settings.inventory).promoted("all", "debian-lab", one.id))
    assert not gets(settings, one)
    told = run(school, "image", "list")
    assert (told.exit_code, "debian-lab: the inventory names another version" in told.stdout) == (4, True)
    assert json.loads(run(school, "image", "list", "--json").stdout)["data"]["unpromoted"] == {
        "canary": {"debian-lab": ""},
        "all": {"debian-lab": ""},
    }
    promote(school, one)
    assert gets(settings, one)
    assert run(school, "image", "list").exit_code == 0


def _by_himself(intent: dict[str, Any]) -> dict[str, Any]:
    return {**intent, "person": TECHNICIAN}


def _elsewhere(intent: dict[str, Any]) -> dict[str, Any]:
    return {**intent, "origin": "other.school/lab-log"}


@pytest.mark.parametrize(
    ("person", "change"), [(TECHNICIAN, _by_himself), (TECHNICIAN, dict), (DIRECTOR, _elsewhere), (DIRECTOR, None)]
)
def test_a_forged_promotion_counts_for_nothing(
    school: SmallSchool, settings: Settings, person: str, change: Callable[[dict[str, Any]], dict[str, Any]] | None
) -> None:
    """By who may not, in another's name, from another school's log, and with a signature over something else."""
    first, second = made(school, 1), made(school, 2)
    promote(school, first)
    (entry,) = find(settings.log, Query(kinds=(PROMOTED,)))
    intent = {**entry.body["intent"], "image": second.id, "ref": second.ref}
    forged = change(intent) if change else intent
    signed = dump(forged if change else entry.body["intent"])
    forger = desk(school, person)
    record_act(
        forger, forger.school.people[person], PROMOTED, forged, signature.sign(signed, school.key(person), NAMESPACE)
    )
    assert (gets(settings, first), gets(settings, second)) == (True, False)


def test_who_made_it_can_t_give_it_to_all_past_the_command(school: SmallSchool, settings: Settings) -> None:
    one = made(school, 1, DIRECTOR)
    mine = desk(school)
    intent: dict[str, Any] = {
        "name": "debian-lab",
        "image": one.id,
        "ring": "all",
        "person": DIRECTOR,
        "rollback": False,
    }
    intent["origin"] = mine.school.log.origin
    record_act(
        mine, mine.school.people[DIRECTOR], PROMOTED, intent, signature.sign(dump(intent), mine.key, NAMESPACE)
    )  # fmt: skip
    assert not gets(settings, one)


def test_an_old_promotion_written_down_again_changes_nothing(school: SmallSchool, settings: Settings) -> None:
    first, second = made(school, 1), made(school, 2)
    for one in (first, second):
        promote(school, one)
    old = find(settings.log, Query(kinds=(PROMOTED,)))[0]
    LogStore(settings.log).append(actor=old.actor, kind=old.kind, subject=old.subject, body=old.body)
    assert Promotions(settings, load_school(settings.inventory)).history("debian-lab")["all"] == [first.id, second.id]
    assert (gets(settings, first), gets(settings, second)) == (False, True)


def plan_of_server(school: SmallSchool, settings: Settings) -> Plan:
    """What an approval of the verb image_server is bound to."""
    return make_plan(settings, load_school(school.inventory), "image_server", (SERVER,), {})


def test_an_approval_of_the_server_holds_for_what_its_pcs_get(school: SmallSchool, settings: Settings) -> None:
    """B10: a version for the canaries, a PC's deploy system or a PC's card is no variable of the server's own."""
    one = made(school, 1)
    plans = [plan_of_server(school, settings).digest]
    promote(school, one, "canary")
    plans.append(plan_of_server(school, settings).digest)
    group = school.inventory / "group_vars" / "ring_canary" / "more.yml"
    group.write_text(f'image_deploy_system: "{"d" * 64}"\n', encoding="utf-8")
    plans.append(plan_of_server(school, settings).digest)
    room = school.inventory / "rooms" / "demo.yml"
    room.write_text(room.read_text(encoding="utf-8").replace("02:00:00:00:00:01", "02:00:00:00:00:99"), "utf-8")
    plans.append(plan_of_server(school, settings).digest)
    assert len(set(plans)) == len(plans)
    group.write_text(f'image_deploy_system: "{"d" * 64}"\nother: 1\n', encoding="utf-8")
    assert plan_of_server(school, settings).digest == plans[-1]


@pytest.fixture
def deploy(school: SmallSchool, settings: Settings) -> Path:
    """A deploy system that the technician built."""
    folder = settings.images / "deploy" / ("d" * 64)
    _write(folder, b"initramfs")
    built = find_deploy_system(settings.images)
    record_built(desk(school, TECHNICIAN), built, {}, ())
    return folder


def _write(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "initrd.img").write_bytes(content)
    about = {"files": {"initrd.img": hashlib.sha256(content).hexdigest()}}
    (folder / "deploy.json").write_bytes(dump(about))


def test_a_deploy_system_is_served_as_it_was_built(school: SmallSchool, settings: Settings, deploy: Path) -> None:
    """Its description says what its files are, and the log what its description is."""
    assert [file.path.rpartition("/")[2] for file in files_of_deploy_system(settings, deploy.name)] == [
        "initrd.img",
        "deploy.json",
    ]
    with pytest.raises(UsageError, match="whole id"):
        files_of_deploy_system(settings, deploy.name[:12])
    (deploy / "initrd.img").write_bytes(b"another")
    with pytest.raises(LabError, match="damaged"):
        files_of_deploy_system(settings, deploy.name)
    _write(deploy, b"another")
    with pytest.raises(RefusedError, match="nobody built"):
        files_of_deploy_system(settings, deploy.name)
    checked = run(school, "image", "verify")
    assert (checked.exit_code, "nobody built it as it is" in checked.stdout) == (4, True)
    stick = run(school, "image", "stick", str(school.folder / "stick.img"), "--server", SERVER)
    assert (stick.exit_code, "nobody built" in stick.stderr) == (5, True)
