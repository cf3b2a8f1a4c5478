"""`lab image`, without machines: who may, what is on record before, who gets what, and what can go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from lab_tool import signature
from lab_tool.canonical import dump
from lab_tool.clock import utc_now
from lab_tool.core.orders import Desk
from lab_tool.imaging.build import api
from lab_tool.imaging.format.manifest import NAMESPACE
from lab_tool.imaging.store import promote as core
from lab_tool.imaging.store import promotions
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.retire import remove
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.imaging.store.whole import verify
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.school.load import load_school
from lab_tool.school.model import Key
from lab_tool.settings import Settings
from tests.cli.conftest import run
from tests.support.killed import killed_at
from tests.support.school import AUDITOR, DIRECTOR, TECHNICIAN, SmallSchool
from tests.unit.imaging.store.conftest import MIB, noise

CANARY, OTHER = "demo-01", "demo-02"


@pytest.fixture(autouse=True)
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What was asked of the builder; each build gives a file system with one thing new in it."""
    asked: list[dict[str, Any]] = []

    @contextmanager
    def build(settings: Any, store: Store, recipe: str, **more: Any) -> Iterator[Draft]:
        asked.append({"recipe": recipe, **more})
        number = len(asked)
        device = tmp_path / "device"
        device.write_bytes(noise(0, MIB // 2) + noise(number, MIB // 2))
        yield Draft(
            name=recipe,
            family="linux",
            title="Debian",
            kind="recipe",
            source={"recipe": recipe},
            partitions=(DraftPartition("system", "ext4", MIB, True, "u", "", device, ((0, MIB),)),),
            contents={
                "packages": {"bash": f"5.{number}", "vim": "9"} | ({"gimp": "2"} if number > 1 else {}),
                "files": {"/etc/issue": f"100644 5 {number:016x}"},
            },
            parent=more["parent"],
            changes=more["changes"],
        )

    monkeypatch.setattr(api, "build", build)
    return asked


def made(school: SmallSchool, *arguments: str, person: str = TECHNICIAN) -> StoredImage:
    """The version that a build gave."""
    result = run(school, "image", "build", "debian-lab", "--changes", "Patches", "--json", *arguments, person=person)
    assert result.exit_code == 0, result.output
    return store(school).find(json.loads(result.stdout)["data"]["id"])


def store(school: SmallSchool) -> Store:
    """The school's store."""
    return Store(school.state / "images")


def entries(school: SmallSchool, *kinds: str) -> list[Entry]:
    """Entries of these kinds."""
    return find(school.state / "log", Query(kinds=kinds))


def promote(school: SmallSchool, ref: str, ring: str, *more: str, person: str = DIRECTOR) -> Result:
    """`lab image promote`."""
    return run(school, "image", "promote", ref, "--ring", ring, "--why", "Term starts", *more, person=person)


def rollback(school: SmallSchool, ring: str, person: str = DIRECTOR) -> Result:
    """`lab image rollback`."""
    return run(school, "image", "rollback", "debian-lab", "--ring", ring, "--why", "No printer", person=person)


def tried(school: SmallSchool, image: str, host: str = CANARY, **marks: Any) -> None:
    """What the log holds once a PC was imaged and said so."""
    evidence = {"verb": "image", "outcome": "ok", "reason": "", "values": {"image": image}, **marks.pop("evidence", {})}
    body = {"task": "Read back", "evidence": evidence, **marks}
    subject = Subject("", "r-1", (host,), ("demo",))
    LogStore(school.state / "log").append(actor=TECHNICIAN, kind="evidence.read", subject=subject, body=body)


def gets(school: SmallSchool) -> dict[str, str]:
    """By ring, the version of `debian-lab` that the inventory names."""
    found = {}
    for ring, group in (("all", "all"), ("canary", "ring_canary")):
        path = school.inventory / "group_vars" / group / "images.yml"
        versions = yaml.safe_load(path.read_text(encoding="utf-8"))["image_versions"] if path.exists() else {}
        if "debian-lab" in versions:
            found[ring] = store(school).find(versions["debian-lab"]).ref
    return found


def test_a_build_is_signed_and_on_record(school: SmallSchool, builds: list[dict[str, Any]]) -> None:
    one = made(school)
    (entry,) = entries(school, "image.added")
    assert (entry.actor, entry.body["image"], entry.body["version"]) == (TECHNICIAN, one.id, 1)
    assert entry.body["manifest"].encode() == one.data
    line = signature.public_line(school.key(TECHNICIAN))
    keys = [(TECHNICIAN, Key(line, None, None))]
    assert signature.signer_of(one.data, entry.body["signature"], NAMESPACE, keys, utc_now()) == TECHNICIAN
    assert [ask["parent"] for ask in builds] == [""]
    second = made(school)
    assert (second.ref, second.manifest.parent, builds[1]["parent"]) == ("debian-lab/2", one.id, one.id)
    assert made(school, "--fresh").manifest.parent == ""
    assert made(school, "--parent", "debian-lab/1").manifest.parent == one.id
    assert [builds[2]["parent"], builds[3]["parent"]] == ["", one.id]


def test_who_may_not_build_is_told_before_the_work(school: SmallSchool, builds: list[dict[str, Any]]) -> None:
    result = run(school, "image", "build", "debian-lab", "--changes", "x", person=AUDITOR)
    assert (result.exit_code, "may not request or run image" in result.stderr) == (5, True)
    assert run(school, "image", "build", "debian-lab", "--changes", " ").exit_code == 2
    assert run(school, "image", "build", "x", "--changes", "x", "--fresh", "--parent", "x").exit_code == 2
    assert builds == []


def test_what_can_t_be_recorded_is_not_there(school: SmallSchool, monkeypatch: pytest.MonkeyPatch) -> None:
    made(school)
    kept = LogStore.append

    def full(log: LogStore, **fields: Any) -> Entry:
        if fields["kind"] == "image.added":
            from lab_tool.errors import LogWriteError

            raise LogWriteError("the log can't be written: No space left on device")
        return kept(log, **fields)

    monkeypatch.setattr(LogStore, "append", full)
    result = run(school, "image", "build", "debian-lab", "--changes", "Patches")
    assert (result.exit_code, "No space left" in result.stderr) == (1, True)
    assert [one.ref for one in store(school).images()] == ["debian-lab/1"]


def test_the_way_of_a_version(school: SmallSchool) -> None:
    first = made(school)
    assert promote(school, "debian-lab/1", "canary", person=TECHNICIAN).exit_code == 0
    assert gets(school) == {"canary": "debian-lab/1"}
    refused = promote(school, "debian-lab/1", "all")
    assert (refused.exit_code, "no canary was imaged with debian-lab/1" in refused.stderr) == (5, True)
    tried(school, first.id)
    done = promote(school, "debian-lab/1", "all", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["data"]["canaries"] == [CANARY]
    assert gets(school) == {"canary": "debian-lab/1", "all": "debian-lab/1"}
    intents = [entry.body["intent"] for entry in entries(school, "image.promoted")]
    assert [(each["ring"], each["previous"], each["rollback"]) for each in intents] == [
        ("canary", "", False),
        ("all", "", False),
    ]
    log = run(school, "log", "show").stdout
    assert f"{TECHNICIAN}  added an image  debian-lab/1" in log
    assert f"{DIRECTOR}  promoted an image  debian-lab/1  all  Term starts" in log
    for entry in entries(school, "image.promoted"):
        keys = [(entry.actor, Key(entry.body["key"], None, None))]
        intent, armored = dump(entry.body["intent"]), entry.body["signature"]
        assert signature.signer_of(intent, armored, promotions.NAMESPACE, keys, utc_now()) == entry.actor


@pytest.mark.parametrize(
    "marks",
    [
        {"host": OTHER},
        {"image": "0" * 64},
        {"check": True},
        {"outside": True},
        {"evidence": {"outcome": "failed"}},
        {"evidence": {"outcome": "deferred"}},
        {"evidence": {"verb": "patch"}},
        {"evidence": {"values": None}},
    ],
)
def test_what_proves_nothing(school: SmallSchool, marks: dict[str, Any]) -> None:
    """Another PC, another version, a rehearsal, a run by hand, a failure, another verb."""
    one = made(school)
    tried(school, marks.pop("image", one.id), **marks)
    assert promote(school, one.ref, "all").exit_code == 5
    assert gets(school) == {}
    assert not entries(school, "image.promoted")


def test_nobody_gives_all_what_they_made(school: SmallSchool) -> None:
    one = made(school, person=DIRECTOR)
    tried(school, one.id)
    for more in ((), ("--without-canary", "All in repair")):
        refused = promote(school, one.ref, "all", *more)
        assert (refused.exit_code, "somebody else has to promote it" in refused.stderr) == (5, True)
    assert promote(school, one.ref, "canary").exit_code == 0


def test_without_a_canary_it_is_said_why(school: SmallSchool) -> None:
    made(school)
    assert promote(school, "debian-lab/1", "canary", "--without-canary", "x").exit_code == 2
    assert promote(school, "debian-lab/1", "all", "--without-canary", "All canaries are in repair").exit_code == 0
    (entry,) = entries(school, "image.promoted")
    assert entry.body["intent"]["without_canary"] == "All canaries are in repair"


def test_who_may_not_promote(school: SmallSchool) -> None:
    one = made(school, person=DIRECTOR)
    tried(school, one.id)
    assert promote(school, one.ref, "all", person=TECHNICIAN).exit_code == 5
    assert promote(school, one.ref, "canary", person=AUDITOR).exit_code == 5
    assert rollback(school, "all", person=TECHNICIAN).exit_code == 5
    assert not entries(school, "image.promoted")


def _forge_signature(school: SmallSchool, one: StoredImage) -> None:
    path = store(school).root / "images" / one.id / "manifest.sig"
    path.write_text(signature.sign(one.data, school.key(DIRECTOR), NAMESPACE), encoding="ascii")


def _forge_purpose(school: SmallSchool, one: StoredImage) -> None:
    path = store(school).root / "images" / one.id / "manifest.sig"
    path.write_text(signature.sign(one.data, school.key(TECHNICIAN), "other"), encoding="ascii")


def _lose_key(school: SmallSchool, one: StoredImage) -> None:
    path = school.inventory / "people.yml"
    people = yaml.safe_load(path.read_text(encoding="utf-8"))
    people["people"][TECHNICIAN]["keys"] = [signature.public_line(school.state / "keys" / "log")]
    path.write_text(yaml.safe_dump(people, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_forge_signature, "signature is not"),
        (_forge_purpose, "signature is not"),
        (_lose_key, "a key that is not"),
    ],
)
def test_a_version_that_nobody_answers_for_goes_to_nobody(school: SmallSchool, forge: Any, words: str) -> None:
    one = made(school)
    tried(school, one.id)
    forge(school, one)
    for ring in ("canary", "all"):
        refused = promote(school, one.ref, ring)
        assert (refused.exit_code, words in refused.stderr) == (5, True), refused.stderr
    listed = run(school, "image", "list")
    assert (listed.exit_code, f"{one.ref} is not used" in listed.stdout) == (4, True)
    assert run(school, "image", "show", one.ref).exit_code == 4
    assert run(school, "image", "verify").exit_code == 4
    assert gets(school) == {}


def test_a_version_that_somebody_put_there_by_hand_counts_as_nobody_s(school: SmallSchool, tmp_path: Path) -> None:
    """Signed with a good key, but not by the way that leaves an entry."""
    from tests.unit.imaging.store.conftest import Bench

    made(school)
    bench = Bench(tmp_path)
    draft = bench.draft(noise(5, MIB))
    key = school.key(TECHNICIAN)
    store(school).add(draft, lambda data: signature.sign(data, key, NAMESPACE), "2026", TECHNICIAN)
    refused = promote(school, "debian-lab/2", "canary")
    assert (refused.exit_code, "the log does not hold that it was added" in refused.stderr) == (5, True)


def test_going_back(school: SmallSchool) -> None:
    for _ in range(3):
        one = made(school)
        promote(school, one.ref, "canary")
        tried(school, one.id)
    for version in (1, 2):
        promote(school, f"debian-lab/{version}", "all")
    assert gets(school) == {"canary": "debian-lab/3", "all": "debian-lab/2"}
    back = rollback(school, "all")
    assert (back.exit_code, "Gone back to debian-lab/1" in back.stdout) == (0, True)
    assert gets(school) == {"canary": "debian-lab/3", "all": "debian-lab/1"}
    assert rollback(school, "all").exit_code == 2
    # What was gone back from is not what was before the next one.
    promote(school, "debian-lab/3", "all")
    assert rollback(school, "all").exit_code == 0
    assert gets(school)["all"] == "debian-lab/1"
    assert entries(school, "image.promoted")[-1].body["intent"]["rollback"] is True


def test_canaries_go_back_alone(school: SmallSchool) -> None:
    for _ in range(2):
        one = made(school)
        assert promote(school, one.ref, "canary").exit_code == 0
    assert rollback(school, "canary", person=TECHNICIAN).exit_code == 0
    assert gets(school) == {"canary": "debian-lab/1"}
    assert rollback(school, "canary").exit_code == 2
    assert rollback(school, "all").exit_code == 2


def test_the_same_again_is_no_second_entry(school: SmallSchool) -> None:
    made(school)
    promote(school, "debian-lab/1", "canary")
    again = promote(school, "debian-lab/1", "canary")
    assert (again.exit_code, "is what canary gets already" in again.stdout) == (0, True)
    assert len(entries(school, "image.promoted")) == 1


def test_cut_off_after_the_entry_it_is_completed(school: SmallSchool, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        made(school)
    promote(school, "debian-lab/1", "canary")

    def die(*_: Any) -> list[str]:
        raise OSError(28, "No space left on device", "images.yml")

    with monkeypatch.context() as patch:
        patch.setattr(core, "write_versions", die)
        assert promote(school, "debian-lab/2", "canary").exit_code == 1
    assert gets(school) == {"canary": "debian-lab/1"}
    told = rollback(school, "canary")
    assert (told.exit_code, "promote what it is to have" in told.stderr) == (5, True)
    assert promote(school, "debian-lab/2", "canary").exit_code == 0
    assert gets(school) == {"canary": "debian-lab/2"}
    assert rollback(school, "canary").exit_code == 0
    assert gets(school) == {"canary": "debian-lab/1"}


def test_what_can_t_be_recorded_is_not_promoted(school: SmallSchool) -> None:
    made(school)
    log = school.state / "log"
    log.chmod(0o777)
    result = promote(school, "debian-lab/1", "canary")
    assert result.exit_code == 1
    log.chmod(0o700)
    assert gets(school) == {}


def test_the_school_s_variables_are_still_there(school: SmallSchool) -> None:
    """`group_vars/all.yml` lies beside a folder `all` now, which Ansible reads instead of it."""
    one = made(school)
    tried(school, one.id)
    before = (school.inventory / "group_vars" / "all.yml").read_text(encoding="utf-8")
    done = promote(school, one.ref, "all")
    assert "all.yml -> all/main.yml" in done.stderr
    assert (school.inventory / "group_vars" / "all" / "main.yml").read_text(encoding="utf-8") == before
    listed = school.lab("rooms", "check")
    assert listed.returncode == 0, listed.stderr


def test_gc_removes_what_nothing_names(school: SmallSchool) -> None:
    versions = [made(school) for _ in range(5)]
    promote(school, "debian-lab/2", "canary")
    tried(school, versions[2].id, host=OTHER)
    LogStore(school.state / "log").append(
        actor=TECHNICIAN, kind="change.noted", subject=Subject(), body={"settings": {"image": versions[0].ref}}
    )
    seen = json.loads(run(school, "image", "gc", "--dry-run", "--json").stdout)["data"]
    assert list(seen["images"].values()) == ["debian-lab/4"]
    assert seen["kept"] == {
        versions[0].id: "log",
        versions[1].id: "inventory",
        versions[2].id: "log",
        versions[4].id: "last",
    }
    assert len(store(school).images()) == 5
    result = run(school, "image", "gc", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["data"]["bytes"] > MIB // 2
    (entry,) = entries(school, "image.removed")
    assert entry.body["intent"]["images"] == {versions[3].id: "debian-lab/4"}
    assert [one.ref for one in store(school).images()] == [f"debian-lab/{number}" for number in (1, 2, 3, 5)]
    whole = run(school, "image", "verify", "--json")
    assert (whole.exit_code, json.loads(whole.stdout)["data"]["damage"]) == (0, [])
    again = json.loads(run(school, "image", "gc", "--json").stdout)["data"]
    assert (again["images"], again["files"], again["entry"]) == ({}, [], None)


def test_gc_keeps_packs_that_others_share(school: SmallSchool, tmp_path: Path) -> None:
    """The first version is named by nothing, and the second is made of its cells."""
    first, second = made(school), made(school)
    assert set(first.manifest.packs) & set(second.manifest.packs)
    assert run(school, "image", "gc").exit_code == 0
    assert [one.ref for one in store(school).images()] == ["debian-lab/2"]
    store(school).materialise(second.manifest.root, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == noise(0, MIB // 2) + noise(2, MIB // 2)
    assert made(school).ref == "debian-lab/3"


def test_gc_killed_at_any_step_leaves_whole_versions(school: SmallSchool) -> None:
    """What was begun is on record, and the next one ends it."""
    key = school.key(TECHNICIAN)
    settings = Settings.from_environment(school.environment())
    desk = Desk(settings, load_school(settings.inventory), key, utc_now)
    for step in range(1, 100):
        made(school), made(school)
        whole = killed_at(step, lambda: remove(desk))
        left, damaged = store(school).survey()
        assert (damaged, verify(store(school)).damage) == ({}, ())
        assert run(school, "image", "gc").exit_code == 0
        assert [one.id for one in store(school).images()] == [left[-1].id]
        assert verify(store(school)).damage == ()
        if whole:
            assert step > 10
            return
    pytest.fail("it never came to its end")


def test_gc_of_a_damaged_store_removes_nothing(school: SmallSchool) -> None:
    first, _ = made(school), made(school)
    (store(school).root / "images" / first.id / "manifest.json").write_bytes(b"{}")
    for more in ((), ("--dry-run",)):
        result = run(school, "image", "gc", *more)
        assert (result.exit_code, "nothing is removed" in result.stderr) == (1, True)
    assert run(school, "image", "list").exit_code == 4
    assert run(school, "image", "gc", person=AUDITOR).exit_code == 5


def test_what_there_is(school: SmallSchool) -> None:
    assert "There are no images" in run(school, "image", "list").stdout
    first, second = made(school), made(school)
    promote(school, "debian-lab/1", "canary")
    tried(school, first.id)
    text = run(school, "image", "list").stdout
    assert "debian-lab/1" in text
    assert first.id[:12] in text
    data = json.loads(run(school, "image", "list", "debian-lab", "--json").stdout)["data"]
    assert [(one["ref"], one["rings"], one["fault"]) for one in data["images"]] == [
        ("debian-lab/1", ["canary"], ""),
        ("debian-lab/2", [], ""),
    ]
    shown = run(school, "image", "show", "debian-lab/1", "--packages").stdout
    for word in (first.id, "Patches", TECHNICIAN, CANARY, "bash", "vim", "Signed by whom it says", "ext4"):
        assert word in shown
    data = json.loads(run(school, "image", "show", second.id[:12], "--packages", "--json").stdout)["data"]
    assert data["packages"] == {"bash": "5.2", "vim": "9", "gimp": "2"}
    assert run(school, "image", "show", "windows-lab").exit_code == 2


def test_what_is_different(school: SmallSchool) -> None:
    made(school), made(school)
    data = json.loads(run(school, "image", "diff", "debian-lab/1", "debian-lab", "--json").stdout)["data"]
    assert data["packages"] == {"bash": {"was": "5.1", "is": "5.2"}, "gimp": {"was": "", "is": "2"}}
    assert list(data["files"]) == ["/etc/issue"]
    assert (data["fetch_bytes"], data["used_bytes"]) == (MIB // 2, MIB)
    text = run(school, "image", "diff", "debian-lab/1", "debian-lab/2").stdout
    for word in ("gimp", "5.1", "5.2", "~ /etc/issue", "0.5 MiB of 1.0 MiB"):
        assert word in text
    assert "The packages are the same" in run(school, "image", "diff", "debian-lab/1", "debian-lab/1").stdout


def test_in_chinese(school: SmallSchool) -> None:
    made(school), made(school)
    promote(school, "debian-lab/1", "canary")
    for arguments, word in (
        (("list",), "试点"),
        (("show", "debian-lab"), "签名有效"),
        (("diff", "debian-lab/1", "debian-lab/2"), "新增"),
        (("verify",), "完好"),
        (("promote", "debian-lab/2", "--ring", "canary", "--why", "x"), "已发放给：试点"),
        (("gc", "--dry-run"), "将删除"),
    ):
        assert word in run(school, "image", *arguments, "--lang", "zh").stdout, arguments


def test_damage_is_told_with_its_place(school: SmallSchool) -> None:
    one = made(school)
    path = store(school).pack_path(one.manifest.packs[0])
    path.write_bytes(path.read_bytes()[:-1])
    result = run(school, "image", "verify")
    assert result.exit_code == 4
    assert f"packs/{path.name}" in result.stdout
    assert one.id[:12] in result.stdout


def test_a_pc_can_t_be_asked_by_those_who_may_not(school: SmallSchool) -> None:
    arguments = ("image", "capture", CANARY, "--name", "debian-lab", "--changes", "x")
    assert run(school, *arguments, person=AUDITOR).exit_code == 5
    assert run(school, "image", "capture", "demo-99", "--name", "debian-lab", "--changes", "x").exit_code == 2
