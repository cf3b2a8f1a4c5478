"""`lab image deploy-system` and `stick`, without building one: whom it trusts, what is on record, what is damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool import signature
from lab_tool.cli.image_common import bytes_done, size
from lab_tool.cli.output import Output
from lab_tool.errors import UsageError
from lab_tool.imaging.deploy_system import api
from lab_tool.imaging.store.deploy_systems import find_deploy_system, known_pins
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.settings import Settings
from tests.cli.conftest import run
from tests.support.school import AUDITOR, TECHNICIAN, SmallSchool

PIN, OTHER_PIN = "7" * 64, "8" * 64


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of the builder, which writes a small file in place of a system."""
    asked: list[dict[str, Any]] = []

    def build(settings: Settings, root: Path, **more: Any) -> str:
        asked.append(more)
        files = {"vmlinuz": b"kernel", "initrd.img": f"initramfs {len(asked)}".encode()}
        names = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        about = json.dumps({"files": names, "packages": {"busybox": "1.35"}})
        made = hashlib.sha256(about.encode()).hexdigest()
        folder = root / "deploy" / made
        folder.mkdir(parents=True)
        for name, data in {**files, "deploy.json": about.encode()}.items():
            (folder / name).write_bytes(data)
        return made

    def make_stick(root: Path, deploy: str, path: Path, *, server: str) -> None:
        path.write_text(f"{deploy} {server}", encoding="ascii")

    monkeypatch.setattr(api, "build_deploy_system", build)
    monkeypatch.setattr(api, "make_stick", make_stick)
    return asked


def server(school: SmallSchool, host: str = "demo-04", pin: str = PIN, **marks: Any) -> None:
    """What the log holds once an image server was set up."""
    evidence = {"verb": "image_server", "outcome": marks.pop("outcome", "ok"), "reason": "", "values": {"pin": pin}}
    body = {"task": "Read back", "evidence": evidence, **marks}
    subject = Subject("", "r-1", (host,), ("demo",))
    LogStore(school.state / "log").append(actor=TECHNICIAN, kind="evidence.read", subject=subject, body=body)


def build(school: SmallSchool, *more: str) -> str:
    """The id that `lab image deploy-system build` tells."""
    done = run(school, "image", "deploy-system", "build", "--json", *more)
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["data"]["id"])


def root(school: SmallSchool) -> Path:
    """The store."""
    return school.state / "images"


def test_it_trusts_this_control_node_and_the_servers_that_were_set_up(
    school: SmallSchool, built: list[dict[str, Any]]
) -> None:
    server(school, pin=OTHER_PIN)
    server(school)
    server(school, pin="9" * 64, check=True)
    server(school, "demo-03", pin="9" * 64, outcome="failed")
    made = build(school, "--firmware", "firmware-realtek")
    (asked,) = built
    assert asked["pins"] == [PIN]
    assert asked["firmware"] == ("firmware-realtek",)
    assert asked["signers"] == [signature.public_line(school.state / "keys" / "image")]
    (entry,) = find(school.state / "log", Query(kinds=("image.deploy_system",)))
    assert (entry.actor, entry.body["intent"]["deploy"]) == (TECHNICIAN, made)
    assert entry.body["intent"]["pins"] == {"demo-04": PIN}


def test_without_a_server_it_would_talk_to_nobody(school: SmallSchool, built: list[dict[str, Any]]) -> None:
    refused = run(school, "image", "deploy-system", "build")
    assert (refused.exit_code, "no image server is set up" in refused.stderr) == (2, True)
    assert built == []
    build(school, "--pin", OTHER_PIN)
    assert built[0]["pins"] == [OTHER_PIN]


def test_who_may_not(school: SmallSchool, built: list[dict[str, Any]]) -> None:
    server(school)
    assert run(school, "image", "deploy-system", "build", person=AUDITOR).exit_code == 5
    assert built == []


def test_the_last_one_is_meant_unless_another_is_named(school: SmallSchool) -> None:
    first, second = build(school, "--pin", PIN), build(school, "--pin", PIN)
    assert find_deploy_system(root(school)).id == second
    assert find_deploy_system(root(school), first[:12]).id == first
    with pytest.raises(UsageError, match="there is no deploy system"):
        find_deploy_system(root(school), "x")


def test_damage_is_told(school: SmallSchool, tmp_path: Path) -> None:
    server(school)
    made = build(school)
    assert run(school, "image", "deploy-system", "show", made[:8]).exit_code == 0
    (root(school) / "deploy" / made / "initrd.img").write_bytes(b"another")
    shown = run(school, "image", "deploy-system", "show")
    assert (shown.exit_code, "not what it was" in shown.stdout) == (4, True)
    checked = run(school, "image", "verify")
    assert (checked.exit_code, f"deploy/{made}/initrd.img" in checked.stdout) == (4, True)
    stick = tmp_path / "stick.img"
    refused = run(school, "image", "stick", str(stick))
    assert (refused.exit_code, "initrd.img" in refused.stderr, stick.exists()) == (4, True, False)


def test_a_stick_asks_the_server_that_was_set_up(school: SmallSchool, tmp_path: Path) -> None:
    made = build(school, "--pin", PIN)
    stick = tmp_path / "stick.img"
    refused = run(school, "image", "stick", str(stick))
    assert (refused.exit_code, "0 image servers" in refused.stderr) == (2, True)
    server(school)
    assert run(school, "image", "stick", str(stick)).exit_code == 0
    assert stick.read_text(encoding="ascii") == f"{made} http://198.18.0.4"
    assert run(school, "image", "stick", str(stick)).exit_code == 2
    assert run(school, "image", "stick", str(stick), "--server", "demo-02", "--force").exit_code == 0
    assert stick.read_text(encoding="ascii").endswith("http://198.18.0.2")
    server(school, "demo-03")
    assert run(school, "image", "stick", str(stick), "--force").exit_code == 2


def test_none_is_no_fault(school: SmallSchool) -> None:
    shown = run(school, "image", "deploy-system", "show")
    assert (shown.exit_code, "There is no deploy system" in shown.stdout) == (0, True)
    assert known_pins(Settings.from_environment(school.environment())) == {}


@pytest.mark.parametrize(("number", "text"), [(0, "0.0 MiB"), (1 << 19, "0.5 MiB"), (3 << 29, "1.5 GiB")])
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(as_json: bool) -> str:
        with bytes_done(Output(as_json, "en"), "reading") as progress:
            for done in (0, 1 << 20, 1 << 20):
                progress("system\x1b[2J", done, 2 << 20)
        return capsys.readouterr().err

    assert tell(False) == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    said = tell(False)
    assert said.count("50% (1 / 2 MiB)") == 1
    assert "\x1b[2J" not in said
    assert tell(True) == ""


def test_words_name_every_kind() -> None:
    words = yaml.safe_load((Path(__file__).parents[2] / "lab_tool/words/image.yml").read_text(encoding="utf-8"))
    from lab_tool.imaging.format.manifest import KINDS
    from lab_tool.imaging.store.rings import RINGS

    assert {f"kind_{kind}" for kind in KINDS} | {f"ring_{ring}" for ring in RINGS} <= set(words)
