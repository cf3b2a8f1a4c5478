"""`lab status`: a school whose log was written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from lab_tool.cli import status as cli
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules.limits import LIMITS
from tests.cli.conftest import SEATS, run
from tests.support.school import SmallSchool

NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
FIRST = SEATS[0].name
PACKAGE = {
    "id": "package:nmap",
    "kind": "package",
    "severity": "yellow",
    "rule": "B3",
    "expected": "-",
    "found": "nmap",
}
CONTROL = {"id": "control:usb", "kind": "control", "severity": "red", "rule": "B11", "expected": "-", "found": "off"}


class Diary:
    """Entries as the recorder writes them, so many days ago."""

    def __init__(self, school: SmallSchool) -> None:
        self.school = school

    def append(self, kind: str, days: float, body: Mapping[str, Any], *hosts: str) -> None:
        """An entry about these hosts, the first one if none is named."""
        subject = Subject("", f"r-{days}", hosts or (FIRST,), (self.school.room,))
        store = LogStore(self.school.state / "log", lambda: NOW - timedelta(days=days))
        store.append(actor="li_na", kind=kind, subject=subject, body=body)

    def evidence(self, verb: str, days: float, outcome: str = "ok", *, check: bool = False, **values: Any) -> None:
        """Something read back."""
        evidence = {"verb": verb, "outcome": outcome, "reason": "", "values": values}
        self.append("evidence.read", days, {"evidence": evidence, **({"check": True} if check else {})})

    def end(self, verb: str, days: float, outcome: str, *, check: bool = False) -> None:
        """A run's end."""
        body = {"verb": verb, "outcomes": {FIRST: {"outcome": outcome}}, "check": check}
        self.append("run.finished", days, body)

    def all_well(self, days: float = 1) -> None:
        """Everything was done."""
        for verb in LIMITS:
            self.evidence(verb, days, check=verb == "drift")


@pytest.fixture
def diary(school: SmallSchool, monkeypatch: pytest.MonkeyPatch) -> Diary:
    """It is `NOW`."""
    monkeypatch.setattr(cli, "utc_now", lambda: NOW)
    return Diary(school)


def seat(diary: Diary) -> Any:
    """The first seat for a program."""
    result = run(diary.school, "status", "--host", FIRST, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["data"]


def causes(diary: Diary) -> set[tuple[str, str, str]]:
    """What is the matter with the first seat."""
    return {(cause["what"], cause["level"], cause["verb"]) for cause in seat(diary)["causes"]}


def test_what_was_never_done_is_worst(diary: Diary) -> None:
    assert causes(diary) == {("never", "red", verb) for verb in LIMITS}
    assert set(seat(diary)["ages"].values()) == {None}


def test_all_is_well(diary: Diary) -> None:
    diary.all_well()
    found = seat(diary)
    assert (found["level"], found["causes"], set(found["ages"].values())) == ("ok", [], {1})


def limit(school: SmallSchool, **limits: int) -> None:
    """The school sets limits of its own."""
    path = school.inventory / "site.yml"
    site = {**yaml.safe_load(path.read_text(encoding="utf-8")), "limits": limits}
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize(("days", "level"), [(10, "ok"), (10.1, "yellow"), (20, "yellow"), (20.1, "red")])
def test_a_result_grows_old(diary: Diary, days: float, level: str) -> None:
    diary.all_well(days)
    limit(diary.school, patch=10, virus_scan=0, backup=0, drift=0, admin_password=0)
    found = seat(diary)
    assert (found["level"], found["ages"]) == (level, {"patch": int(days)})


def test_a_limit_that_nobody_knows_is_refused(diary: Diary) -> None:
    limit(diary.school, pach=10)
    result = run(diary.school, "status")
    assert result.exit_code == 2
    assert "no limit is named 'pach'. Did you mean 'patch'?" in result.stderr


def test_a_rehearsal_is_no_patch_and_a_real_run_is_no_drift_check(diary: Diary) -> None:
    diary.evidence("patch", 1, check=True)
    diary.evidence("drift", 1)
    assert {("never", "red", "patch"), ("never", "red", "drift")} <= causes(diary)


def test_only_a_good_result_counts(diary: Diary) -> None:
    diary.all_well(40)
    for outcome in ("deferred", "failed"):
        diary.evidence("patch", 1, outcome)
    assert seat(diary)["ages"]["patch"] == 40


def test_what_went_with_the_old_disk_no_longer_counts(diary: Diary) -> None:
    """A PC that was imaged has to be patched, scanned and locked down again; its backups lie elsewhere."""
    diary.all_well(3)
    diary.evidence("lockdown", 3, profile="student")
    diary.end("patch", 2.5, "failed")
    diary.evidence("image", 2)
    gone = {("never", "red", verb) for verb in LIMITS if verb != "backup"}
    assert causes(diary) == gone | {("undone", "red", "lockdown")}
    diary.all_well(1)
    diary.evidence("lockdown", 1)
    assert causes(diary) == set()


def test_an_image_that_failed_leaves_what_is_known(diary: Diary) -> None:
    diary.all_well(3)
    diary.evidence("image", 2, "failed")
    assert causes(diary) == set()


@pytest.mark.parametrize(
    ("outcome", "level"),
    [("failed", "red"), ("missing", "red"), ("unreachable", "yellow"), ("changed", ""), ("deferred", "")],
)
def test_how_the_last_run_ended(diary: Diary, outcome: str, level: str) -> None:
    diary.all_well()
    diary.end("patch", 0.5, outcome)
    assert causes(diary) == ({("ended", level, "patch")} if level else set())


def test_a_good_result_since_heals_a_bad_end(diary: Diary) -> None:
    diary.all_well()
    diary.end("patch", 0.5, "failed")
    diary.end("site", 0.5, "failed")
    diary.evidence("patch", 0.4)
    assert causes(diary) == {("ended", "red", "site")}
    for verb in ("virus_scan", "lockdown", "backup", "admin_password"):
        diary.evidence(verb, 0.3)
    assert causes(diary) == set()


def test_a_rehearsal_that_failed_is_no_bad_end_but_drift_is(diary: Diary) -> None:
    diary.all_well()
    diary.end("patch", 0.5, "failed", check=True)
    diary.end("drift", 0.5, "failed", check=True)
    assert causes(diary) == {("ended", "red", "drift")}


def test_what_drift_found(diary: Diary) -> None:
    diary.all_well()
    diary.evidence("drift", 0.5, check=True, findings=[PACKAGE], red=0, yellow=1)
    assert causes(diary) == {("found", "yellow", "drift")}
    diary.evidence("drift", 0.4, check=True, findings=[CONTROL, PACKAGE], red=1, yellow=1)
    assert causes(diary) == {("control", "red", "lockdown"), ("found", "yellow", "drift")}
    shown = run(diary.school, "status", "--host", FIRST).stdout
    assert "minor      Package: nmap" in shown
    diary.evidence("lockdown", 0.3)
    assert causes(diary) == {("found", "yellow", "drift")}
    diary.evidence("lockdown", 0.2, "failed", wrong={"usb": ["off"], "sudo": ["off"]})
    assert ("control", "red", "lockdown") in causes(diary)
    diary.evidence("lockdown_undo", 0.15)
    assert ("undone", "red", "lockdown") in causes(diary)
    diary.evidence("drift", 0.1, check=True, findings=[], red=0, yellow=0)
    assert causes(diary) == set()


def test_quarantine_and_waivers(diary: Diary) -> None:
    diary.all_well()
    files = [{"path": "/home/x/\x1b[31mvirus", "sha256": "00"}]
    diary.evidence("virus_scan", 0.5, quarantine=files, quarantine_count=1)
    diary.evidence(
        "lockdown", 0.5, waived={"usb": {"reason": "Competition", "owner": "li_na", "last_day": "2026-12-01"}}
    )
    assert causes(diary) == {("quarantine", "red", "virus_scan")}
    shown = run(diary.school, "status", "--host", FIRST).stdout
    assert "control=usb  last_day=2026-12-01  owner=li_na  reason=Competition" in shown
    assert "virus  sha256=00" in shown
    assert "\x1b[31mvirus" not in shown


def test_a_password_that_was_shown_is_due_until_it_is_replaced(diary: Diary) -> None:
    diary.all_well()
    diary.append("password.shown", 0.5, {"intent": {"generations": ["g-1"]}})
    assert causes(diary) == {("shown", "yellow", "admin_password")}
    # It was shown while this run was on: what the PC has is what somebody knows.
    diary.evidence("admin_password", 0.4, generation="g-1")
    assert causes(diary) == {("shown", "yellow", "admin_password")}
    diary.evidence("admin_password", 0.4)
    assert causes(diary) == set()


def test_entries_that_hold_nonsense_are_no_fault_of_the_tool(diary: Diary) -> None:
    for body in ({}, {"evidence": 5}, {"evidence": {"verb": "drift", "outcome": "ok", "values": [1]}, "check": True}):
        diary.append("evidence.read", 1, body)
    findings: dict[str, Any] = {"findings": [3, {"kind": 5}], "red": "many", "yellow": None}
    diary.evidence("drift", 1, check=True, **findings)
    diary.append("run.finished", 1, {"verb": "patch", "outcomes": [FIRST]})
    diary.append("run.finished", 1, {"verb": ["patch"], "outcomes": {FIRST: 3}})
    assert run(diary.school, "status", "--room", "demo").exit_code == 0
    assert run(diary.school, "status", "--host", FIRST).exit_code == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_seats_as_they_stand(diary: Diary, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("LAB_LANG", language)
    rows(diary.school, 2)
    diary.all_well()
    diary.append("run.finished", 0.5, {"verb": "backup", "outcomes": {FIRST: {"outcome": "unreachable"}}})
    result = run(diary.school, "status", "--room", "demo")
    lines = result.stdout.splitlines()
    assert "  [1f] [2P]" in lines
    assert "  [3P] [4x]" in lines
    assert "\x1b" not in result.stdout
    table = [" ".join(line.split()) for line in lines if line.lstrip().startswith("demo-0")]
    expected = {
        "en": ["demo-01 1 1 1 1 1 Back up: last run unreachable", "demo-02 never never never never never", "screen"],
        "zh": ["demo-01 1 1 1 1 1 备份：上次运行无法连接", "demo-02 从未 从未 从未 从未 从未", "screen"],
    }[language]
    assert table[:2] == expected[:2]
    assert table[3].endswith(expected[2])


def rows(school: SmallSchool, per_row: int) -> None:
    """So many seats side by side, the last one out of order."""
    path = school.inventory / "rooms" / "demo.yml"
    room = yaml.safe_load(path.read_text(encoding="utf-8"))
    room["seats"]["per_row"] = per_row
    room["differences"][4]["out_of_order"] = "screen"
    path.write_text(yaml.safe_dump(room, allow_unicode=True, sort_keys=False), encoding="utf-8")


def test_all_rooms_in_a_line_each(diary: Diary) -> None:
    diary.all_well()
    lines = [" ".join(line.split()) for line in run(diary.school, "status").stdout.splitlines()]
    assert "demo Demo lab 3 1" in lines
    data = json.loads(run(diary.school, "status", "--json").stdout)["data"]
    assert [each["level"] for each in data[0]["seats"]] == ["ok", "red", "red", "red"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--room", "x"), "there is no room"),
        (("--host", "x"), "there is no host"),
        (("--room", "demo", "--host", FIRST), "not both"),
    ],
)
def test_what_makes_no_sense(diary: Diary, arguments: tuple[str, ...], words: str) -> None:
    result = run(diary.school, "status", *arguments)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_what_was_run_outside_procedure_counts_for_nothing(diary: Diary) -> None:
    """By hand, with any settings: `ansible-playbook playbooks/drift.yml --check -e ...`."""
    diary.all_well()
    found: dict[str, Any] = {"findings": [PACKAGE], "red": 0, "yellow": 1}
    diary.evidence("drift", 0.5, check=True, **found)
    evidence = {"verb": "drift", "outcome": "ok", "reason": "", "values": {"findings": [], "red": 0, "yellow": 0}}
    diary.append("evidence.read", 0.1, {"evidence": evidence, "check": True, "outside": True})
    assert causes(diary) == {("found", "yellow", "drift")}
