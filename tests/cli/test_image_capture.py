"""`lab image capture`: the last good capture that the log names becomes a version, and nothing else does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from lab_tool.imaging.orders import capture
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.store import Store
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from tests.cli.conftest import run
from tests.support.captured import Sent, send
from tests.support.school import AUDITOR, TECHNICIAN, SmallSchool
from tests.unit.imaging.store.conftest import MIB, noise

HOST, OTHER = "demo-01", "demo-02"
FIRST, SECOND = "o-00000000000000aa", "o-00000000000000bb"


@pytest.fixture(autouse=True)
def taken_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Folders that were taken in; what is in them does not start, so a file system of noise is the image."""
    folders: list[Path] = []

    @contextmanager
    def intake(settings: Any, folder: Path, name: str, **more: Any) -> Iterator[Draft]:
        folders.append(folder)
        device = tmp_path / "device"
        device.write_bytes(noise(len(folders), MIB))
        yield Draft(
            name=name,
            family="linux",
            title=more["title"] or name,
            kind="capture",
            source={"order": folder.name, "table": "t"},
            partitions=(DraftPartition("system", "ext4", MIB, True, "u", "", device, ((0, MIB),)),),
            contents={"packages": {}, "files": {}},
            parent=more["parent"],
            changes=more["changes"],
        )

    monkeypatch.setattr(capture, "intake", intake)
    return folders


def came(school: SmallSchool, order: str, seed: int = 1) -> Sent:
    """What a PC sent, on the control node."""
    return send(school.state / "images" / "incoming" / order, seed)


def told(
    school: SmallSchool, sent: Sent, host: str = HOST, values: dict[str, Any] | None = None, **marks: object
) -> None:
    """What the log holds of it; evidence of another verb or outcome, and marks of the entry, are among `marks`."""
    evidence = {
        "verb": marks.pop("verb", "image_capture"),
        "outcome": marks.pop("outcome", "ok"),
        "reason": "",
        "values": {"order": sent.folder.name, "host": HOST, "cells": sent.digest, **(values or {})},
    }
    body: dict[str, Any] = {"task": "Read back", "evidence": evidence, **marks}
    subject = Subject("", f"r-{sent.folder.name}", (host,), ("demo",))
    LogStore(school.state / "log").append(actor=TECHNICIAN, kind="evidence.read", subject=subject, body=body)


def make(school: SmallSchool, *more: str, host: str = HOST, person: str = TECHNICIAN) -> Result:
    """`lab image capture`."""
    arguments = ("image", "capture", host, "--name", "debian-lab", "--changes", "Geometry", *more)
    return run(school, *arguments, person=person)


def refused(school: SmallSchool, result: Result, code: int, said: str) -> None:
    """It ended so, said so, and there is no image."""
    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert not Store(school.state / "images").images()
    assert not find(school.state / "log", Query(kinds=("image.added",)))


def test_the_last_good_capture_is_signed_and_on_record(school: SmallSchool, taken_in: list[Path]) -> None:
    told(school, came(school, FIRST))
    second = came(school, SECOND, 2)
    told(school, second)
    result = make(school, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)["data"]
    assert taken_in == [second.folder]
    assert data["kind"] == "capture"
    assert data["source"] == {"order": SECOND, "table": "t", "host": HOST, "run": f"r-{SECOND}"}
    (entry,) = find(school.state / "log", Query(kinds=("image.added",)))
    assert (entry.actor, entry.subject.hosts, entry.body["image"]) == (TECHNICIAN, (HOST,), data["id"])
    assert '"host":"demo-01"' in entry.body["manifest"]
    shown = run(school, "image", "show", "debian-lab").stdout
    assert "capture" in shown and HOST in shown


def test_a_capture_that_failed_is_passed_over(school: SmallSchool, taken_in: list[Path]) -> None:
    first = came(school, FIRST)
    told(school, first)
    told(school, came(school, SECOND, 2), outcome="failed")
    assert make(school).exit_code == 0
    assert taken_in == [first.folder]


def test_who_was_never_captured_is_no_image(school: SmallSchool) -> None:
    came(school, FIRST)
    result = make(school)
    refused(school, result, 2, "never captured")
    assert f"lab change request image_capture --host {HOST}" in result.output


@pytest.mark.parametrize(
    "marks",
    [
        {"outcome": "failed"},
        {"outcome": "deferred"},
        {"verb": "image"},
        {"check": True},
        {"outside": True},
        {"values": {"host": OTHER}},
        {"values": {"order": "../../keys"}},
        {"values": {"cells": ""}},
    ],
)
def test_what_the_log_does_not_hold_for_good_is_no_image(school: SmallSchool, marks: dict[str, Any]) -> None:
    told(school, came(school, FIRST), **marks)
    refused(school, make(school), 2, "never captured")


def test_another_host_s_capture_is_not_this_one_s(school: SmallSchool) -> None:
    told(school, came(school, FIRST), host=OTHER)
    refused(school, make(school), 2, "never captured")


def test_another_order_s_parts_in_its_place_are_refused(school: SmallSchool) -> None:
    sent = came(school, FIRST)
    told(school, sent)
    shutil.rmtree(sent.folder)
    came(school, FIRST, 2)
    refused(school, make(school), 5, "this is not what demo-01 sent")


def test_parts_that_are_gone_are_told(school: SmallSchool) -> None:
    sent = came(school, FIRST)
    told(school, sent)
    shutil.rmtree(sent.folder)
    refused(school, make(school), 1, "not here any more")


def test_damaged_parts_are_refused_by_what_takes_them_in(school: SmallSchool, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab_tool.imaging.build import api

    monkeypatch.setattr(capture, "intake", api.intake)
    sent = came(school, FIRST)
    told(school, sent)
    sent.damage(".pack")
    refused(school, make(school), 1, "a damaged cell")


def test_only_those_who_may_make_images_do(school: SmallSchool, taken_in: list[Path]) -> None:
    told(school, came(school, FIRST))
    refused(school, make(school, person=AUDITOR), 5, "zhao_min")
    assert not taken_in
    assert make(school, host="demo-99").exit_code == 2
