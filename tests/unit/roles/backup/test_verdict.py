"""Outcome of a backup, words for what restic says, parts of a check, files drawn by lot and compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_backup import compare, explain, places, snapshots
from lab_tool.plugins.module_utils.lab_backup.verdict import Reading, judge

GOOD = {"snapshot": "1a2b3c4d", "files": 3, "unreadable": 0, "trouble": ""}
ACT: dict[str, Any] = {"tag": "run-1", "troubles": [], "places": {"school": GOOD, "off_site": GOOD}}
BOTH = [Reading("school", "1a2b3c4d5e"), Reading("off_site", "5e4d3c2b1a")]


def test_both_places_or_it_is_no_backup() -> None:
    assert judge(ACT, BOTH, "", check=False) == ("ok", "")
    lost = [BOTH[0], Reading("off_site", "", "the server does not answer")]
    assert judge(ACT, lost, "", check=False) == ("failed", "off_site: the server does not answer (school has 1a2b3c4d)")
    assert judge(ACT, [BOTH[0], Reading("off_site", "")], "", check=False)[1].startswith(
        "off_site: this run's snapshot"
    )


@pytest.mark.parametrize("read", [[], BOTH[:1]])
def test_who_read_nothing_knows_nothing(read: list[Reading]) -> None:
    assert judge(ACT, read, "", check=False) == ("failed", "fewer than two repositories were read")


def test_where_others_could_lead_a_restore_elsewhere(tmp_path: Path) -> None:
    """A pupil's folder, one that many may write, a link; but not one like /tmp, where nobody renames another's."""
    assert compare.loose(Path("/usr")) == ""
    assert compare.loose(Path("/tmp")) == ""
    (tmp_path / "link").symlink_to("/usr")
    assert compare.loose(tmp_path / "link").startswith("/tmp/")
    if os.geteuid() == 0:
        home = tmp_path / "home"
        home.mkdir()
        assert compare.loose(home) == ""
        home.chmod(0o777)
        assert compare.loose(home) == str(home)
        home.chmod(0o755)
        os.chown(home, 1000, 1000)
        (home / "x").mkdir()
        assert compare.loose(home / "x") == str(home)


@pytest.mark.parametrize(
    ("act", "reading", "words"),
    [
        ({**GOOD, "files": 0}, BOTH[0], "school: this run's snapshot holds no files"),
        ({**GOOD, "unreadable": 2}, BOTH[0], "school: 2 files could not be read"),
        (GOOD, Reading("school", "x", unchecked="part 1 of 3: bad"), "school: part 1 of 3: bad"),
        (GOOD, Reading("school", "x", future=("ffff",)), "school: snapshots dated in the future: ffff"),
        ({**GOOD, "trouble": "it is full"}, Reading("school", ""), "school: it is full"),
    ],
)
def test_what_makes_it_fail(act: dict[str, Any], reading: Reading, words: str) -> None:
    outcome, reason = judge({**ACT, "places": {**ACT["places"], "school": act}}, [reading, BOTH[1]], "", check=False)
    assert (outcome, reason.startswith(words)) == ("failed", True), reason


def test_a_dump_that_failed_and_what_failed_before() -> None:
    assert judge({**ACT, "troubles": ["dump of mariadb: x"]}, BOTH, "", check=False)[1].startswith("dump of mariadb: x")
    assert judge({}, BOTH, "the clock", check=False) == ("failed", "the clock")


def test_a_rehearsal_says_what_would_be() -> None:
    assert judge({}, [Reading("a", ""), Reading("b", "")], "", check=True) == ("ok", "would be saved into a and b")
    assert judge({}, [Reading("a", "", "gone"), Reading("b", "")], "", check=True) == ("failed", "a: gone")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Fatal: wrong password or no key found", "does not open with this PC's password"),
        (
            "Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized",
            "does not know this PC",
        ),
        ('Head "https://a:***@198.18.0.1:1/a/config": dial tcp: connect: connection refused\nIs there', "not answer"),
        ("x509: certificate signed by unknown authority", "not one of the school's authority"),
        (
            "Save(<data/1>) returned error, retrying after 1s: server response unexpected: 500 (500)\n(403)",
            "is full or",
        ),
        ("Fatal: unable to open config file: <config/> does not exist", "there is no repository"),
        ("something at rest:https://pc:secret@host/", "something at rest:https://host/"),
        ("", "gave no reason"),
    ],
)
def test_what_restic_says_in_words(said: str, words: str) -> None:
    assert words in explain.explain(said)
    assert "secret" not in explain.explain(said)


def test_the_first_damage_is_named() -> None:
    assert explain.damage("using temporary cache\nPack ID does not match, want 1, got 2\nx") == (
        "Pack ID does not match, want 1, got 2"
    )


def test_so_many_runs_read_every_part() -> None:
    check: dict[str, Any] = {}
    read = []
    for _ in range(5):
        check = {"part": places.next_part(check, 4), "parts": 4, "damage": ""}
        read.append(check["part"])
    assert read == [1, 2, 3, 4, 1]
    assert places.next_part({"part": 3, "parts": 4, "damage": "bad"}, 4) == 3
    assert places.next_part({"part": 3, "parts": 4, "damage": ""}, 7) == 1


LISTED = [{"id": "a" * 64, "short_id": "aaaaaaaa", "time": "2026-11-24T10:00:00.5+08:00"}]


def test_snapshots() -> None:
    moment = snapshots.seconds(LISTED[0]["time"])
    assert snapshots.utc(moment) == "2026-11-24T02:00:00Z"
    assert snapshots.by_id(LISTED, "latest") == snapshots.by_id(LISTED, "aaaaaaaa") == LISTED[0]
    assert snapshots.by_id(LISTED, "aaa") is None
    assert snapshots.by_id(LISTED, "") is None
    assert snapshots.future(LISTED, moment - 301, 300) == ["aaaaaaaa"]
    assert snapshots.future(LISTED, moment - 300, 300) == []
    assert snapshots.present(LISTED, moment - 301) == []
    assert snapshots.present(LISTED, moment) == LISTED


def node(path: Path) -> dict[str, Any]:
    """As `restic ls --json` lists a file."""
    there = path.stat()
    time = snapshots.utc(int(there.st_mtime))
    return {"struct_type": "node", "type": "file", "path": str(path), "size": there.st_size, "mtime": time}


def test_files_are_compared_with_the_snapshot_and_the_pc(tmp_path: Path) -> None:
    live, back = tmp_path / "live", tmp_path / "back"
    copy = Path(str(back) + str(live))
    copy.parent.mkdir(parents=True)
    for path in (live, copy):
        path.write_text("five\n", "ascii")
        os.utime(path, (1, 1))
    found = compare.compare([node(live)], str(back), live=True)
    assert (found.files, found.live, found.wrong, found.live_wrong) == (1, 1, [], [])
    copy.write_text("Five\n", "ascii")
    os.utime(copy, (1, 1))
    assert compare.compare([node(live)], str(back), live=True).live_wrong == [str(live)]
    live.write_text("changed since\n", "ascii")
    listed = {**node(copy), "path": str(live)}
    assert compare.compare([listed], str(back), live=True).live == 0
    copy.write_text("longer than listed\n", "ascii")
    assert compare.compare([listed], str(back), live=True).wrong == [str(live)]
    copy.unlink()
    assert compare.compare([listed], str(back), live=True).wrong == [str(live)]


def test_the_same_seed_draws_the_same_files() -> None:
    nodes = [{"type": "file", "path": f"/{number}"} for number in range(100)] + [{"type": "dir", "path": "/d"}]
    assert compare.draw(nodes, 7, 5) == compare.draw(nodes[::-1], 7, 5)
    assert len(compare.draw(nodes, 7, 1000)) == 100


def test_a_path_means_itself_and_what_lies_below() -> None:
    nodes = [{"struct_type": "node", "path": path} for path in ("/a", "/a/b", "/ab", "/")]
    assert [one["path"] for one in compare.below(nodes, "/a/")] == ["/a", "/a/b"]
    assert len(compare.below(nodes, "/")) == 4
    assert compare.pattern("/a[1]*?\\") == "/a\\[1]\\*\\?\\\\"
