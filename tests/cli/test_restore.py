"""`lab restore`, as people type it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import run
from tests.support.school import DIRECTOR, SmallSchool

ASK = ("restore", "demo-01", "/home/pupil", "--to", "/srv/back", "--why", "Deleted by mistake")


def test_it_asks_for_a_change_that_somebody_else_approves(school: SmallSchool) -> None:
    said = run(school, *ASK)
    assert said.exit_code == 0
    assert "/home/pupil from the backup into the new folder /srv/back on demo-01" in said.stdout
    asked = json.loads(run(school, *ASK, "--snapshot", "1a2b3c4d", "--from", "off_site", "--json").stdout)["data"]
    assert (asked["hosts"], asked["status"]) == (["demo-01"], "requested")
    assert asked["document"]["verb"] == "backup_restore"
    assert asked["document"]["settings"] == {
        "backup_restore_path": "/home/pupil",
        "backup_restore_to": "/srv/back",
        "backup_restore_snapshot": "1a2b3c4d",
        "backup_restore_from": "off_site",
    }
    assert run(school, "run", asked["id"]).exit_code == 5
    assert run(school, "change", "approve", asked["id"]).exit_code == 5
    assert run(school, "change", "approve", asked["id"], person=DIRECTOR).exit_code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--of", "{{ x }}"), "template text"),
        (("--host", "x"), "No such option"),
    ],
)
def test_what_makes_no_sense(school: SmallSchool, more: tuple[str, ...], words: str) -> None:
    said = run(school, *ASK, *more)
    assert said.exit_code == 2
    assert words in said.stderr


@pytest.mark.parametrize(("path", "to"), [("home/x", "/srv/back"), ("/home/x", "back"), ("/home/x", "/")])
def test_a_path_that_could_only_fail_on_the_machine_is_not_asked_for(school: SmallSchool, path: str, to: str) -> None:
    said = run(school, "restore", "demo-01", path, "--to", to, "--why", "x")
    assert (said.exit_code, "has to be a whole path" in said.stderr) == (2, True)


def test_in_chinese(school: SmallSchool) -> None:
    said = run(school, *ASK, "--lang", "zh")
    assert "已申请从备份恢复：/home/pupil 恢复到主机 demo-01 的新文件夹 /srv/back" in said.stdout
    assert "lab change approve c-" in said.stdout
