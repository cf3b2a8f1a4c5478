"""`lab log`, as it is typed: what it says, in both languages and as JSON, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lab_tool.cli import lab
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.settings import PROJECT
from tests.tamper.conftest import RealLog, real_log

__all__ = ["real_log"]
Run = Callable[..., Result]
# What must not be loaded for a command that people wait for.
HEAVY = ("pydantic", "rich", "ansible", "lab_tool.school", "subprocess", "jinja2")


@pytest.fixture
def run(real_log: RealLog) -> Run:
    """Run `lab log ...`; without a traceback, whatever happens."""

    def invoke(*arguments: str, lang: str = "en", stdin: bytes = b"") -> Result:
        environment = {**real_log.environment, "LAB_LANG": lang, "TZ": "Asia/Shanghai"}
        result = CliRunner().invoke(lab, ["log", *arguments], env=environment, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["data"]


def put_into_site(real_log: RealLog, **log: object) -> None:
    """Change what site.yml says of the log."""
    path = real_log.settings.inventory / "site.yml"
    site = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**site, "log": {**site["log"], **log}}))


def test_show_by_pc(run: Run) -> None:
    lines = run("show", "--host", "a301-03").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("3  20")
    assert lines[0].endswith("li-na  changed  a301-03  Linux | Upgrade")


def test_show_in_chinese(run: Run) -> None:
    assert "li-na  已更改  a301-03" in run("show", "--host", "a301-03", lang="zh").stdout
    assert run("show", "--host", "nobody", lang="zh").stdout == "没有符合条件的记录\n"


def test_show_as_json_is_what_is_stored(run: Run, real_log: RealLog) -> None:
    (entry,) = data(run("show", "--json", "--last", "1", "--kind", "task.changed"))
    stored = json.loads(real_log.lines()[28])
    assert {key: value for key, value in stored.items() if key != "v"}.items() <= entry.items()
    assert entry["time"].endswith("Z")


def test_show_is_the_same_without_the_index(run: Run, real_log: RealLog) -> None:
    for arguments in (("--host", "a301-03"), ("--kind", "checkpoint.*"), ("--room", "a301", "--last", "4")):
        assert run("show", *arguments).stdout == run("show", *arguments, "--no-index").stdout


def test_show_without_a_filter_is_the_newest_hundred(run: Run, real_log: RealLog) -> None:
    real_log.add(200)
    lines = run("show").stdout.splitlines()
    assert len(lines) == 100
    assert lines[-1].startswith("229  ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--since", "2020-01-01", "--until", "2020-01-02"), 0),
        (("--since", "2020-01-01"), 30),
        (("--until", "2020-01-01T00:00:00Z"), 0),
        (("--until", "2099-12-31"), 30),
        (("--since", "2020-01-01T08:00:00+08:00", "--rule", "B2"), 27),
        (("--person", "lab"), 3),
        (("--run", "r-1", "--change", "c-1"), 0),
        (("--kind", "task.changed", "--kind", "checkpoint.published"), 30),
    ],
)
def test_filters(run: Run, arguments: tuple[str, ...], expected: int) -> None:
    assert len(data(run("show", "--json", "--last", "1000", *arguments))) == expected


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "24.11.2026", "99999-01-01", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_that_is_none(run: Run, option: str, time: str) -> None:
    result = run("show", option, time)
    assert result.exit_code == 2
    assert "not a day" in result.stderr


def test_nothing_in_an_entry_reaches_the_terminal_as_a_command(run: Run, real_log: RealLog) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202egnp.exe\u2066\u200b\u3164\ud800\x00"
    LogStore(real_log.settings.log).append(
        actor=evil, kind="plan.made", subject=Subject(hosts=(evil,)), body={"why": evil, "task": evil}
    )
    for arguments in (("show", "--last", "1"), ("show", "--last", "1", "--json"), ("export", "--last", "1")):
        shown = run(*arguments).stdout.rstrip("\r\n").removeprefix("\ufeff")
        for letter in shown:
            assert letter.isprintable() or letter in "\r\n", (arguments, letter)
        assert "owned" in shown
    assert len(run("show", "--last", "1").stdout.splitlines()) == 1


def test_export_csv(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    assert "9 " not in run("export", "--kind", "checkpoint.*", "-o", str(target)).stderr
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8-sig"), newline="")))
    assert [row["seq"] for row in rows] == ["9", "19", "29"]


def test_export_json_is_the_log(run: Run, real_log: RealLog) -> None:
    assert run("export", "--format", "json").stdout_bytes == real_log.entries.read_bytes()


def test_prove_and_check(run: Run, real_log: RealLog, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    assert run("prove", "13", "-o", str(proof)).exit_code == 0
    result = run("check-proof", str(proof), "--keys", str(real_log.signers))
    assert result.exit_code == 0
    assert "Proved: this was entry 13 of the log school.example/lab-log when it had 29 entries" in result.stdout
    proof.write_text(proof.read_text().replace("li-na", "wu-li"))
    assert run("check-proof", str(proof), "--keys", str(real_log.signers)).exit_code == 4
    proof.write_text("{}")
    assert run("check-proof", str(proof)).exit_code == 2


def test_prove_to_the_screen_is_the_proof(run: Run) -> None:
    assert json.loads(run("prove", "13").stdout)["seq"] == 13
    assert data(run("prove", "13", "--json"))["seq"] == 13


def test_prove_what_is_not_there(run: Run) -> None:
    result = run("prove", "99")
    assert result.exit_code == 2
    assert "lab log show" in result.stderr


def test_verify_says_what_is_covered(run: Run) -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert "The log verifies: 30 entries" in result.stdout
    assert "folder ../second" in result.stdout
    assert "from entry 29 on (1)" in result.stdout


def test_verify_says_what_it_can_not_prove(run: Run, real_log: RealLog) -> None:
    for path in real_log.second.glob("*"):
        path.unlink()
    real_log.second.rmdir()
    real_log.second.parent.rmdir()
    result = run("verify")
    assert "NOT PROVED" in result.stdout
    assert "could not be asked" in result.stdout
    assert "未能证明" in run("verify", lang="zh").stdout


def test_verify_without_second_places_and_keys_says_so(run: Run, real_log: RealLog) -> None:
    put_into_site(real_log, keys=[], second_places=[])
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert "no second place is configured" in result.stdout
    assert "no key is named under log.keys" in result.stdout


def test_verify_does_not_mind_a_room_that_is_wrong(run: Run, real_log: RealLog) -> None:
    rooms = real_log.settings.inventory / "rooms"
    rooms.mkdir(exist_ok=True)
    (rooms / "z999.yml").write_text("room: nonsense\n", encoding="utf-8")
    assert run("verify").exit_code == 0


def test_verify_in_chinese_names_the_entry(run: Run, real_log: RealLog) -> None:
    lines = real_log.lines()
    lines[13] = lines[13].replace(b"li-na", b"wu-li")
    real_log.put(lines)
    result = run("verify", lang="zh")
    assert result.exit_code == 4
    assert "日志核对未通过" in result.stdout
    assert "edit: 记录 13：被修改" in result.stdout


def test_verify_a_copy_on_a_machine_without_a_school(real_log: RealLog, tmp_path: Path) -> None:
    copy = tmp_path / "auditor"
    copy.mkdir()
    (copy / "log.jsonl").write_bytes(real_log.entries.read_bytes())
    newest = sorted(real_log.second.glob("*"))[-1]
    arguments = ["verify", "--log", str(copy / "log.jsonl"), "--keys", str(real_log.signers)]
    environment = {"LAB_INVENTORY": str(copy / "none"), "LAB_STATE": str(copy / "none"), "LAB_LANG": "en"}
    result = CliRunner().invoke(lab, ["log", *arguments, "--checkpoint", str(newest)], env=environment)
    assert result.exit_code == 0, result.output
    assert "The first 29 entries are as they were" in result.stdout
    folder = CliRunner().invoke(lab, ["log", *arguments, "--checkpoint", str(real_log.second)], env=environment)
    assert folder.exit_code == 0, folder.output
    (copy / "log.jsonl").write_bytes(b"".join(line + b"\n" for line in real_log.lines()[:20]))
    result = CliRunner().invoke(lab, ["log", *arguments, "--checkpoint", str(newest)], env=environment)
    assert result.exit_code == 4
    assert "truncation: entries 20 to 28" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--checkpoint", "/no/such"),
        ("--keys", "/no/such"),
        ("--log", "/no/such"),
        ("--max-age", "-1"),
    ],
)
def test_verify_with_what_is_not_there(run: Run, arguments: tuple[str, str]) -> None:
    assert run("verify", *arguments).exit_code == 2


def test_checkpoint(run: Run, real_log: RealLog) -> None:
    made = data(run("checkpoint", "--json"))
    assert made["size"] == 30
    assert made["reached"] == ["folder ../second"]
    result = run("checkpoint")
    assert "Checkpoint: 31 entries" in result.stdout


def test_checkpoint_that_reaches_nothing_is_loud(run: Run, real_log: RealLog) -> None:
    real_log.second.parent.rename(real_log.second.parent.with_name("away"))
    result = run("checkpoint")
    assert result.exit_code == 1
    assert "Warning: second place folder ../second not reached" in result.stderr
    assert "could go unseen" in result.stderr


def test_init(run: Run, real_log: RealLog) -> None:
    assert run("init").exit_code == 2
    import shutil

    shutil.rmtree(real_log.settings.state)
    result = run("init")
    assert result.exit_code == 0
    assert 'key: "ssh-ed25519 ' in result.stdout
    assert find(real_log.settings.log, Query())[0].kind == "log.started"


def test_keys_are_those_the_script_takes(run: Run, real_log: RealLog) -> None:
    real_log.signers.write_text(run("keys").stdout)
    assert real_log.script().code == 0


def test_rotation_end_to_end(run: Run, real_log: RealLog) -> None:
    """Rotate, put into site.yml what it says, and go on: old and new checkpoints are good for both verifiers."""
    told = data(run("rotate-key", "--why", "yearly", "--json"))
    assert run("checkpoint").exit_code == 1
    old, new = {"key": told["old"], "last_day": told["day"]}, {"key": told["new"], "first_day": told["day"]}
    put_into_site(real_log, keys=[old, new])
    assert run("checkpoint").exit_code == 0
    real_log.signers.write_text(run("keys").stdout)
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert real_log.script().code == 0


def test_a_lost_key_end_to_end(run: Run, real_log: RealLog) -> None:
    (real_log.settings.keys / "log").unlink()
    result = run("checkpoint")
    assert result.exit_code == 1
    assert "key-lost" in result.stderr
    told = data(run("key-lost", "--why", "disk died", "--json"))
    put_into_site(real_log, keys=[told["old"], told["new"]])
    assert run("checkpoint").exit_code == 0
    assert run("verify").exit_code == 0


def test_witness(run: Run, real_log: RealLog, tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "witness"), "--keys", str(real_log.signers))
    first, last = (path.read_bytes() for path in sorted(real_log.second.glob("*"))[::2])
    assert run("witness", *options, stdin=b"old 0\n\n" + first).stdout == "accepted 9\n"
    refused = run("witness", *options, stdin=b"old 9\n\n" + last)
    assert refused.exit_code == 5
    assert "does not extend" in refused.stderr
    assert run("witness", *options, stdin=b"get school.example/lab-log\n").stdout_bytes == first


def test_show_starts_with_little(real_log: RealLog) -> None:
    """A bound in seconds is for the bench; this is what keeps it."""
    program = (
        "import sys\nfrom lab_tool.cli import main\n"
        "try: main(['log', 'show', '--host', 'a301-03'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in sys.modules if name.startswith({HEAVY!r})], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **real_log.environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == "[]\n"
