"""`lab drift`, without machines: who may, what is on record before, and a draw that was forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lab_tool import signature
from lab_tool.canonical import dump
from lab_tool.cli import drift as cli
from lab_tool.cli import run as run_cli
from lab_tool.cli.drift import render
from lab_tool.cli.output import Output
from lab_tool.core.drift import DRAW_NAMESPACE, DRAWN
from lab_tool.core.outcome import Outcome
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from tests.cli.conftest import run
from tests.support.school import AUDITOR, TECHNICIAN, SmallSchool

RUN = "r-20261124T102030-1f2e"


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The orders that would have been carried out; no PC is asked."""
    orders: list[Any] = []
    monkeypatch.setattr(run_cli, "carry_out", lambda settings, school, order, out, show: orders.append(order))
    return orders


def draws(school: SmallSchool) -> list[Entry]:
    """The draws on record."""
    return find(school.state / "log", Query(kinds=(DRAWN,)))


def start_run(school: SmallSchool, draw: Entry, *hosts: str) -> None:
    """A run of the plan of that draw, as the log would tell of it."""
    body = {"intent": {"verb": "drift", "plan": draw.body["draw"]["plan"]}, "check": True}
    subject = Subject("", RUN, hosts or draw.subject.hosts, ("demo",))
    LogStore(school.state / "log").append(actor=draw.actor, kind="run.started", subject=subject, body=body)


def test_the_auditor_looks_alone(school: SmallSchool, ran: list[Any]) -> None:
    assert run(school, "drift", "--room", "demo", person=AUDITOR).exit_code == 0
    (order,) = ran
    assert order.check is True
    assert [host.name for host in order.hosts] == ["demo-01", "demo-02", "demo-03", "demo-04"]
    kinds = [entry.kind for entry in find(school.state / "log", Query())]
    assert kinds == ["people.changed", "plan.made"]


def test_nobody_alone_says_by_which_standard(school: SmallSchool, ran: list[Any]) -> None:
    """What a check in check mode finds stands in `lab status`, so a plan of it takes no settings of its own."""
    for more in ("--no-check", "--json"):
        said = run(school, "plan", "drift", "--room", "demo", "--set", "drift_packages=*", more)
        assert said.exit_code == 2
        assert "drift goes by the inventory alone" in said.stderr
    assert not ran
    assert not find(school.state / "log", Query(kinds=("plan.made",)))


def test_a_sample_is_on_record_before_anything_runs(school: SmallSchool, ran: list[Any]) -> None:
    result = run(school, "drift", "--all", "--sample", "50%", "--seed", "lottery 17", person=AUDITOR)
    assert result.exit_code == 0, result.output
    (order,) = ran
    (entry,) = draws(school)
    assert entry.body["draw"]["candidates"] == ["demo-01", "demo-02", "demo-03", "demo-04"]
    assert entry.body["draw"]["chosen"] is True
    assert tuple(host.name for host in order.hosts) == entry.subject.hosts
    assert len(order.hosts) == 2
    assert entry.body["draw"]["plan"] == order.plan.digest
    assert "2 drawn from 4: " in result.stdout
    assert "Seed, chosen by somebody: lottery 17" in result.stdout


def test_the_system_s_randomness_is_another_each_time(school: SmallSchool) -> None:
    for _ in range(2):
        run(school, "drift", "--room", "demo", "--sample", "1")
    first, second = (entry.body["draw"] for entry in draws(school))
    assert first["seed"] != second["seed"]
    assert first["chosen"] is second["chosen"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no room and no host was named"),
        (("--all", "--room", "demo"), "--all is every room already"),
        (("--room", "demo", "--seed", "x"), "--seed is for a draw"),
        (("--room", "demo", "--sample", "5"), "a sample is 1% to 100%, or 1 to 4 hosts"),
        (("--room", "demp"), "there is no room"),
    ],
)
def test_what_makes_no_sense(school: SmallSchool, ran: list[Any], arguments: tuple[str, ...], words: str) -> None:
    result = run(school, "drift", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not ran
    assert not draws(school)


def test_it_is_never_run_for_real(school: SmallSchool) -> None:
    result = run(school, "run", "drift", "--room", "demo")
    assert (result.exit_code, "lab drift" in result.stderr) == (2, True)


def test_a_draw_is_checked_by_entry_and_by_run(school: SmallSchool) -> None:
    run(school, "drift", "--room", "demo", "--sample", "2", person=AUDITOR)
    (entry,) = draws(school)
    result = run(school, "drift", "check-draw", str(entry.seq))
    assert (result.exit_code, f"Entry {entry.seq} by {AUDITOR}: drawn as it says" in result.stdout) == (0, True)
    assert "No run followed" in result.stdout
    start_run(school, entry)
    result = run(school, "drift", "check-draw", RUN, "--json")
    data = json.loads(result.stdout)["data"]
    assert (result.exit_code, data["fair"], data["run"], data["notes"]) == (0, True, RUN, [])


def test_what_an_auditor_should_know(school: SmallSchool) -> None:
    """Draws that came to nothing, a chosen seed, and machines that could not be drawn."""
    run(school, "drift", "--room", "demo", "--sample", "1", "--seed", "1", person=AUDITOR)
    run(school, "drift", "--host", "demo-01", "--host", "demo-02", "--sample", "1", "--seed", "mine")
    first, second = draws(school)
    start_run(school, second)
    text = run(school, "drift", "check-draw", RUN).stdout
    assert "the seed was chosen by whoever drew" in text
    assert "not among the candidates: demo-03, demo-04" in text
    assert f"draws before it that no run followed: entry {first.seq}" in text


def test_a_draw_that_hits_on_the_same_is_another_draw(school: SmallSchool) -> None:
    """Drawn twice with one result, and run once: the first came to nothing."""
    for _ in range(2):
        run(school, "drift", "--host", "demo-01", "--sample", "1")
    first, second = draws(school)
    start_run(school, second)
    text = run(school, "drift", "check-draw", RUN).stdout
    assert f"draws before it that no run followed: entry {first.seq}" in text


def _hosts(body: dict[str, Any]) -> None:
    taken = body["draw"]["hosts"][0]
    body["draw"]["hosts"] = [next(name for name in body["draw"]["candidates"] if name != taken)]


def _seed(body: dict[str, Any]) -> None:
    body["draw"]["seed"] = "better"


def _signature(body: dict[str, Any]) -> None:
    body["draw"]["chosen"] = True


@pytest.mark.parametrize(
    ("forge", "sign_again", "says"),
    [
        (_hosts, True, "this seed draws"),
        (_seed, False, "the signature is not"),
        (_signature, False, "the signature is not"),
        (lambda body: body["draw"].pop("seed"), True, "holds no draw"),
        (lambda body: body.pop("draw"), False, "holds no draw"),
        (lambda body: body.update(key="ssh-ed25519 AAAA"), False, "the key was not one of"),
    ],
)
def test_a_forged_draw_is_caught(
    school: SmallSchool, forge: Callable[[dict[str, Any]], None], sign_again: bool, says: str
) -> None:
    run(school, "drift", "--room", "demo", "--sample", "1")
    (entry,) = draws(school)
    body = json.loads(json.dumps(dict(entry.body)))
    forge(body)
    if sign_again:
        # Whoever drew may sign whatever they like: the seed still says who is drawn.
        body["signature"] = signature.sign(dump(body["draw"]), school.key(TECHNICIAN), DRAW_NAMESPACE)
    hosts = tuple(body.get("draw", {}).get("hosts", ()))
    forged = LogStore(school.state / "log").append(
        actor=TECHNICIAN, kind=DRAWN, subject=Subject("", "", hosts, ("demo",)), body=body
    )
    result = run(school, "drift", "check-draw", str(forged.seq))
    assert result.exit_code == 4
    assert says in result.output


def test_a_run_on_others_than_those_drawn_is_caught(school: SmallSchool) -> None:
    run(school, "drift", "--room", "demo", "--sample", "1")
    (entry,) = draws(school)
    others = sorted({"demo-01", "demo-02"} - set(entry.subject.hosts))
    start_run(school, entry, *others)
    result = run(school, "drift", "check-draw", RUN)
    assert result.exit_code == 4
    assert f"{RUN} was on " in result.stdout


@pytest.mark.parametrize("target", ["0", "999", "r-x", "-1"])
def test_there_is_no_such_draw(school: SmallSchool, target: str) -> None:
    run(school, "drift", "--room", "demo")
    result = run(school, "drift", "check-draw", "--", target)
    assert (result.exit_code, "there is no draw" in result.stderr) == (2, True)


def test_findings_are_told_host_by_host(capsys: pytest.CaptureFixture[str]) -> None:
    finding = {
        "id": "package:nmap",
        "kind": "package",
        "severity": "yellow",
        "rule": "B3",
        "expected": "not in the standard",
        "found": "nmap 7.93",
    }
    values = {"findings": [finding], "red": 0, "yellow": 3, "untold": {"package": 2}}
    outcomes = {"a-1": Outcome("ok", "", (), values), "a-2": Outcome("ok"), "a-3": Outcome("unreachable", "no route")}
    render(SimpleNamespace(outcomes=outcomes), Output(False, "en"))  # type: ignore[arg-type]
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "3 PCs compared, 1 as they should be; findings: 0 serious, 3 minor" in lines
    assert "a-1 minor Package: nmap not in the standard nmap 7.93 B3" in lines
    assert "a-1: 2 more findings, not told one by one" in lines
    assert "a-3 unreachable: no route" in lines


def test_every_kind_of_finding_has_words() -> None:
    from lab_tool.plugins.module_utils.lab_drift.findings import KINDS

    for kind in KINDS:
        for language in ("zh", "en"):
            assert cli.row({"kind": kind, "id": f"{kind}:x"}, Output(False, language))[1] != f"kind_{kind}: x"


def test_a_control_goes_by_its_name_and_its_rules() -> None:
    finding = {"kind": "control", "id": "control:patch_updates", "severity": "red", "rule": "B11", "found": "off"}
    assert cli.row(finding, Output(False, "zh")) == ("严重", "管控措施未生效: 安装更新", "", "off", "B2")


def test_whatever_a_pc_sends_is_shown_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Its evidence is its own: a PC taken over may send anything as numbers and findings."""
    values: dict[str, Any] = {"red": "many", "yellow": [], "untold": 5, "findings": [3, {"kind": 5}]}
    render(SimpleNamespace(outcomes={"a": Outcome("ok", values=values)}), Output(False, "en"))  # type: ignore[arg-type]
    assert "a" in capsys.readouterr().out
    values = {"findings": 7, "untold": {"port": "x"}}
    render(SimpleNamespace(outcomes={"a": Outcome("ok", values=values)}), Output(False, "en"))  # type: ignore[arg-type]
