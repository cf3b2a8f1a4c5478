"""`lab plan`, without machines; with machines it is tested in tests/integration."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab_tool.cli.output import Output
from lab_tool.cli.plan import as_json, render_check
from lab_tool.core.differences import differences
from lab_tool.core.outcome import Outcome
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.school.model import Key
from lab_tool.settings import PROJECT, Settings
from lab_tool.signature import signer_of
from tests.cli.conftest import SEATS, run
from tests.support.school import AUDITOR, TECHNICIAN, SmallSchool

RUN = "r-20261124T102030-1f2e"


def test_the_plan_alone(school: SmallSchool) -> None:
    result = run(school, "plan", "patch", "--room", "demo", "--no-check", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)["data"]
    assert data["plan"]["hosts"] == [seat.name for seat in SEATS]
    assert data["plan"]["machines"]["demo-01"]["ansible_host"] == "198.18.0.1"
    assert data["check"] is None
    assert "roles/patch/tasks/main.yml" in data["plan"]["content"]
    again = json.loads(run(school, "plan", "patch", "--room", "demo", "--no-check", "--json").stdout)["data"]
    assert again["digest"] == data["digest"]
    kept = school.state / "plans" / f"{data['digest']}.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == {"plan": data["plan"], "about": data["about"]}


def test_it_is_on_record_who_made_it(school: SmallSchool) -> None:
    assert run(school, "plan", "patch", "--host", "demo-02", "--no-check").exit_code == 0
    (entry,) = find(school.state / "log", Query(kinds=("plan.made",)))
    assert (entry.actor, entry.subject.hosts, entry.subject.rooms) == (TECHNICIAN, ("demo-02",), ("demo",))
    from datetime import UTC, datetime

    from lab_tool.canonical import dump

    candidates = [("it", Key(entry.body["key"], None, None))]
    signed = dump(entry.body["plan"])
    assert signer_of(signed, entry.body["signature"], "lab-plan", candidates, datetime.now(UTC)) == "it"


def test_for_people(school: SmallSchool) -> None:
    result = run(school, "plan", "patch", "--room", "demo", "--no-check", "--set", "patch_scope=full")
    assert result.exit_code == 0
    assert ": patch on 4 hosts in demo" in result.stdout
    assert "Settings: patch_scope=full" in result.stdout
    assert "No PC was asked" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("patsch", "--room", "demo"), 2, "there is no verb 'patsch'"),
        (("patch",), 2, "no room and no host was named"),
        (("patch", "--room", "demp"), 2, "there is no room"),
        (("patch", "--room", "demo", "--set", "x=1"), 2, "takes no setting 'x'"),
        (("patch", "--room", "demo", "--key", "/nonexistent"), 2, "there is no key here"),
    ],
)
def test_what_makes_no_sense(school: SmallSchool, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run(school, "plan", *arguments, "--no-check")
    assert result.exit_code == code
    assert words in result.stderr
    assert find(school.state / "log", Query()) == []


def test_not_for_everybody(school: SmallSchool) -> None:
    result = run(school, "plan", "patch", "--room", "demo", "--no-check", person=AUDITOR)
    assert result.exit_code == 5
    assert "zhao_min may not request or run patch at all" in result.stderr


def result_of(**outcomes: Outcome) -> Any:
    """A run's result with these outcomes, by host with _ for -."""
    named = {host.replace("_", "-"): outcome for host, outcome in outcomes.items()}
    return SimpleNamespace(run=RUN, outcomes=named, interrupted="", problem="", all_good=True)


def test_summary_first_then_what_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    would = Outcome("changed", "2 would be installed", ("Install",))
    result = result_of(a_1=would, a_2=would, a_3=Outcome("ok"), a_4=Outcome("unreachable", "no route"))
    lines = ("Updates | Install", "  vim: 1 -> 2")
    render_check(result, {"a-1": lines, "a-2": lines}, Output(False, "en"))
    shown = capsys.readouterr().out.strip().splitlines()
    assert shown == [
        "Checked, nothing was changed: 2 would change, 1 already ok, 1 unreachable",
        "",
        "a-1, a-2  would change: 2 would be installed",
        "  Updates | Install",
        "    vim: 1 -> 2",
        "",
        "a-4  unreachable: no route",
    ]


def test_differences_come_from_the_entries_of_the_run(tmp_path: Path) -> None:
    settings = Settings(PROJECT, tmp_path, tmp_path / "state")
    store = LogStore(settings.log)
    subject = Subject("", RUN, ("a-1",))
    for body in (
        {"task": "Write", "result": {"dest": "/etc/x", "diff": [{"lines_before": 0, "lines_after": 3}]}},
        {
            "task": "Mode",
            "result": {"path": "/etc/y", "diff": [{"before": {"mode": "0600"}, "after": {"mode": "0644"}}]},
        },
        {"task": "Apt", "result": {"diff": [{"packages": "Inst vim\n\nInst nano"}]}},
        {"task": "Loop", "result": {"items": [{"diff": [{"packages": "Inst emacs"}]}]}},
        {"task": "Plain", "result": {}},
    ):
        store.append(actor="tech", kind="task.changed", subject=subject, body=body)
    pending = {"vim": {"installed": "1", "available": "2"}, "new": {"installed": "", "available": "3"}}
    body = {"task": "Read back", "evidence": {"values": {"pending": pending}}}
    store.append(actor="tech", kind="evidence.read", subject=subject, body=body)
    found = differences(settings, RUN)["a-1"]
    assert found == (
        "Write: /etc/x",
        "  lines: 0 -> 3",
        "Mode: /etc/y",
        "  mode: 0600 -> 0644",
        "Apt",
        "  Inst vim",
        "  Inst nano",
        "Loop",
        "  Inst emacs",
        "Plain",
        "  new: - -> 3",
        "  vim: 1 -> 2",
    )


def test_json_of_a_check() -> None:
    made: Any = SimpleNamespace(digest="d", as_json=lambda: {"plan": {}, "about": {}})
    data = as_json(made, result_of(a_1=Outcome("changed", "", ("Install",))), {"a-1": ["Install"]})
    assert data["check"]["outcomes"]["a-1"]["differences"] == ["Install"]
    assert data["check"]["run"] == RUN


def test_what_a_pc_says_neither_breaks_nor_paints_the_screen(
    school: SmallSchool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A PC taken over sends a reason that hides the rows above it, and numbers that are none."""
    out = Output(False, "en")
    evil = Outcome("failed", "\x1b[2J\x1b[1Aall well")
    result: Any = SimpleNamespace(outcomes={"demo-01": evil, "demo-02": Outcome("changed")})
    render_check(result, {"demo-02": ("x: \x1b[8m1 -> 2",)}, out)
    out.table(["host"], [("demo-01\n\x1b[2J",)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2J\\x1b[1Aall well" in shown
    body = {"evidence": {"verb": "patch", "values": {"updated": {"a": 5, "b": {"after": "2"}}, "pending": [1]}}}
    LogStore(school.state / "log").append(
        actor="li_na", kind="evidence.read", subject=Subject("", "r-1", ("demo-01",)), body=body
    )
    assert differences(Settings.from_environment(school.environment(TECHNICIAN)), "r-1") == {
        "demo-01": ("  b: - -> 2",)
    }
