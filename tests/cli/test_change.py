"""`lab change`, as people type it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import run
from tests.support.school import AUDITOR, DIRECTOR, TECHNICIAN, SmallSchool


def answer(result: Result) -> Any:
    """The data of `--json`."""
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    return document["data"]


def request(school: SmallSchool, *more: str) -> str:
    """Request patch on the room; the id."""
    arguments = ("change", "request", "patch", "--room", "demo", "--why", "Term starts", *more, "--json")
    return str(answer(run(school, *arguments))["id"])


def test_a_change_from_request_to_approval(school: SmallSchool) -> None:
    result = run(school, "change", "request", "patch", "--room", "demo", "--why", "Term starts on Monday")
    assert result.exit_code == 0
    assert "Why: Term starts on Monday" in result.stdout
    assert "Hosts: demo-01, demo-02, demo-03, demo-04" in result.stdout
    (change,) = answer(run(school, "change", "list", "--json"))["changes"]
    assert change["status"] == "requested"
    name = change["id"]
    assert f"lab change approve {name}" in result.stdout

    result = run(school, "change", "approve", name)
    assert result.exit_code == 5
    assert f"Refused: {name} was requested by li_na: somebody else has to approve it" in result.stderr

    result = run(school, "change", "approve", name, person=AUDITOR)
    assert result.exit_code == 5
    assert "zhao_min may not approve patch at all" in result.stderr

    result = run(school, "change", "approve", name, person=DIRECTOR)
    assert result.exit_code == 0
    shown, _, done = result.stdout.partition(f"Change {name} is approved by wang_fang. Next: lab run {name}")
    assert "What is signed, as lab-change-approve:" in shown
    assert "Why: Term starts on Monday" in shown
    assert done.strip() == ""

    again = run(school, "change", "approve", name, person=DIRECTOR)
    assert again.exit_code == 0
    assert f"Change {name} was approved before, by wang_fang; nothing was written" in again.stdout
    assert answer(run(school, "change", "show", name, "--json"))["status"] == "approved"


def test_signed_on_another_machine(school: SmallSchool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The director's machine has the exported file, ssh-keygen, and what `lab` said to type."""
    monkeypatch.chdir(tmp_path)
    name = request(school)
    exported = answer(run(school, "change", "export", name, "-o", "change.json", "--json"))
    entry = json.loads((school.state / "log" / "entries.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert json.loads((tmp_path / "change.json").read_bytes()) == entry["body"]["change"]
    command = exported["sign"].replace("~/.ssh/id_ed25519", str(school.key(DIRECTOR))).split()
    subprocess.run(command, check=True, capture_output=True)
    assert exported["then"] == f"lab change approve {name} --signature change.json.sig"
    # Whoever brings it back is nobody in particular.
    result = run(school, *exported["then"].split()[1:], "--as", DIRECTOR, person=AUDITOR)
    assert f"Change {name} is approved by wang_fang" in result.stdout
    assert run(school, *exported["then"].split()[1:], "--as", TECHNICIAN).exit_code == 5
    assert run(school, *exported["then"].split()[1:], "--as", "nobody").exit_code == 2


def test_export_says_what_to_type(school: SmallSchool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = request(school)
    result = run(school, "change", "export", name)
    assert f"ssh-keygen -Y sign -n lab-change-approve -f ~/.ssh/id_ed25519 {name}.json" in result.stdout
    assert (tmp_path / f"{name}.json").exists()
    assert run(school, "change", "export", name, "-o", "/nonexistent/x").exit_code == 2


def test_reject(school: SmallSchool) -> None:
    name = request(school)
    result = run(school, "change", "reject", name, "--why", "Exams that day", person=DIRECTOR)
    assert f"Change {name} is rejected by wang_fang" in result.stdout
    assert "was rejected before, by wang_fang" in run(school, "change", "reject", name, "--why", "x").stdout
    result = run(school, "change", "approve", name, person=DIRECTOR)
    assert result.exit_code == 5
    assert f"{name} was rejected by wang_fang: Exams that day" in result.stderr
    assert "No change is open" in run(school, "change", "list").stdout
    (change,) = answer(run(school, "change", "list", "--all", "--json"))["changes"]
    assert (change["status"], change["rejections"][0]["why"]) == ("rejected", "Exams that day")


def test_an_approval_that_no_longer_holds_is_shown_as_such(school: SmallSchool) -> None:
    name = request(school)
    run(school, "change", "approve", name, person=DIRECTOR)
    people = school.inventory / "people.yml"
    text = people.read_text(encoding="utf-8")
    before, _, after = text.partition("  wang_fang:")
    people.write_text(before + "  wang_fang_2:" + after, encoding="utf-8")
    assert "THE APPROVAL DOES NOT HOLD" in run(school, "change", "show", name).stdout
    assert "approved (!)" in run(school, "change", "list").stdout
    assert "who is not in inventory/people.yml" in run(school, "run", name).stderr


def test_a_standing_approval(school: SmallSchool) -> None:
    result = run(
        school, "change", "request", "patch", "--room", "demo", "--why", "Weekly", "--standing", "Sat 20:00-Sun 06:00",
        "--last-day", "2099-01-31",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "--last-day lies between today and 365 days from now" in result.stderr


def test_emergencies_still_to_be_approved_stand_out(school: SmallSchool) -> None:
    from datetime import UTC, datetime

    from lab_tool.core.change import request_emergency
    from lab_tool.core.plan import make_plan
    from lab_tool.school.load import load_school
    from lab_tool.settings import PROJECT, Settings

    request(school)
    settings, loaded = Settings(PROJECT, school.inventory, school.state), load_school(school.inventory)
    plan = make_plan(settings, loaded, "patch", ["demo-01"], {})
    key = school.key(DIRECTOR)
    emergency = request_emergency(settings, loaded, plan, "Virus", key, lambda: datetime.now(UTC))
    result = run(school, "change", "list")
    first = next(line for line in result.stdout.splitlines() if " c-" in line)
    assert emergency.id in first
    assert "EMERGENCY, to be approved" in first
    assert "1 emergency runs still have to be approved by somebody else" in result.stderr
    assert run(school, "change", "approve", emergency.id, person=DIRECTOR).exit_code == 5


def test_an_edited_log_is_an_error_and_the_rest_is_still_listed(school: SmallSchool) -> None:
    good = request(school)
    bad = request(school, "--expires", "3")
    entries = school.state / "log" / "entries.jsonl"
    lines = entries.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"why":"Term starts"', b'"why":"Term start!"')
    entries.write_bytes(b"".join(lines))
    result = run(school, "change", "list")
    assert result.exit_code == 4
    assert good in result.stdout
    assert f"{bad}: its document is another's" in result.stderr
    assert run(school, "change", "show", bad).exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "c-0000000000"), 2, "there is no change c-0000000000"),
        (("show", "../../etc/passwd"), 2, "no change is named '../../etc/passwd'"),
        (("approve", "c-0000000000", "--as", "x"), 2, "--as goes with --signature"),
        (("approve", "c-0000000000", "--key", "/nonexistent"), 2, "there is no change"),
        (("request", "patch", "--room", "demo", "--why", "x", "--key", "/nonexistent"), 2, "there is no key here"),
        (("request", "patch", "--room", "demp", "--why", "x"), 2, "there is no room"),
        (("request", "patch", "--why", "x"), 2, "no room and no host was named"),
        (("request", "patch", "--room", "demo", "--why", "a\u202eb"), 2, "can't be seen (U+202E)"),
        (("request", "patch", "--room", "demo", "--why", "x", "--set", "ansible_user=root"), 2, "takes no setting"),
    ],
)
def test_what_makes_no_sense(school: SmallSchool, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run(school, "change", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_errors_in_json(school: SmallSchool) -> None:
    name = request(school)
    result = run(school, "change", "approve", name, "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["data"]["exit_code"] == 5


def test_in_chinese(school: SmallSchool) -> None:
    name = request(school)
    result = run(school, "change", "show", name, "--lang", "zh")
    assert f"变更 {name}: 待批准" in result.stdout
    assert "申请人: li_na 于 " in result.stdout
