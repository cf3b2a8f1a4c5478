"""Tricks of somebody who runs the machine and knows the tool: on parsers, terminals and file systems."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab_tool.cli import lab
from lab_tool.clock import utc_text
from lab_tool.log.entry import NO_PREV, leaf_hash
from lab_tool.log.keys import allowed_signers
from lab_tool.log.note import NAMESPACE, parse
from lab_tool.school.model import Key
from tests.tamper import forge
from tests.tamper.conftest import ORIGIN, RealLog


def resealed(real_log: RealLog, lines: list[bytes]) -> None:
    """Put these lines in place, with checkpoints by the real key over all of them, here and in the second place."""
    prev, linked = NO_PREV, []
    for line in lines:
        linked.append(line.replace(b'"prev":"?"', f'"prev":"{prev}"'.encode()))
        prev = leaf_hash(linked[-1])
    real_log.put(linked)
    real_log.forget_index()
    checkpoint = forge.signed(linked, real_log.key, ORIGIN, utc_text(datetime.now(UTC)))
    for folder in (real_log.local, real_log.second):
        for path in folder.glob("*"):
            path.unlink()
        real_log.keep(folder, checkpoint)


def entry(seq: int, middle: str = '"body":{}', time: str = "2026-11-24T08:00:00.000000Z") -> bytes:
    rest = f'"kind":"plan.made","prev":"?","seq":{seq},"subject":{{}},"time":"{time}","v":1'
    return f'{{"actor":"a",{middle},{rest}}}'.encode()


AMBIGUOUS = {
    "a key twice": '"actor":"b","body":{}',
    "a key twice, deep inside": '"body":{"a":[{"approver":"x","approver":"y"}]}',
    "a key twice, once escaped": '"body":{"approver":"x","\\u0061pprover":"y"}',
}
UNREADABLE = {
    "a float": '"body":{"a":1.0}',
    "an exponent": '"body":{"a":1e3}',
    "NaN": '"body":{"a":NaN}',
    "infinity": '"body":{"a":-Infinity}',
    "5000 digits": f'"body":{{"a":{"9" * 5000}}}',
    "raw Chinese": '"body":{"a":"打包"}',
    "a terminal escape": '"body":{"a":"\x1b[2J"}',
    "a field too many": '"body":{},"extra":1',
    "a body that is a list": '"body":[]',
    "nested beyond reading": f'"body":{{"a":{"[" * 50_000}{"]" * 50_000}}}',
}


@pytest.mark.parametrize("what", [*AMBIGUOUS, *UNREADABLE])
def test_a_line_that_two_readers_read_differently(real_log: RealLog, what: str) -> None:
    """Chain, root and signature are in order: he has the key and wrote it like this from the beginning."""
    middle = {**AMBIGUOUS, **UNREADABLE}[what]
    resealed(real_log, [entry(0), entry(1, middle), entry(2)])
    tool = real_log.tool()
    assert tool.code == 4
    assert "edit" in tool.kinds
    assert "entry 1:" in tool.text
    if what in AMBIGUOUS:
        assert real_log.script().kinds[0] == "edit"


HIDDEN = {
    "a space": b'"kind": "plan.made"',
    "an escape": b'"kind":"plan\\u002emade"',
    "an escaped key": b'"\\u006bind":"plan.made"',
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_kind_that_a_search_of_the_text_does_not_find(real_log: RealLog, how: str) -> None:
    """The gate reads all of the log, and parses only lines that look like the kinds it wants."""
    resealed(real_log, [entry(0), entry(1).replace(b'"kind":"plan.made"', HIDDEN[how]), entry(2)])
    assert "entry 1: edited (it is not canonical JSON)" in real_log.tool().text
    assert real_log.script().kinds[0] == "edit"


@pytest.mark.parametrize("number", ["true", "1.0", '"1"', "01", "-0", "1e0"])
def test_a_number_that_only_looks_like_it(real_log: RealLog, number: str) -> None:
    line = entry(1).replace(b'"seq":1', f'"seq":{number}'.encode())
    resealed(real_log, [entry(0), line, entry(2)])
    assert real_log.tool().code == 4


@pytest.mark.parametrize("time", ["2026-11-24T08:00:00Z", "٢٠٢٦-11-24T08:00:00.000000Z", "", "9" * 27])
def test_a_time_that_only_looks_like_it(real_log: RealLog, time: str) -> None:
    resealed(real_log, [entry(0), entry(1, time=json.dumps(time)[1:-1])])
    assert "edit" in real_log.tool().kinds


def test_a_day_that_is_none_breaks_nothing(real_log: RealLog) -> None:
    resealed(real_log, [entry(0), entry(1, time="9999-99-99T99:99:99.999999Z")])
    tool = real_log.tool()
    assert set(tool.kinds) == {"backdated"}
    assert "clock_ahead" in tool.notes
    assert show(real_log, "--last", "1").exit_code == 0


@pytest.mark.parametrize("ends", [b"\r\n", b" \n", b"\n\n", b"\n \n", b"\x00\n", b"\xe2\x80\xa8"])
def test_other_line_ends(real_log: RealLog, ends: bytes) -> None:
    real_log.entries.write_bytes(b"".join(line + ends for line in real_log.lines()))
    assert real_log.tool().code == 4
    assert real_log.script().code == 1


def test_a_line_without_end(real_log: RealLog) -> None:
    """Refused after the longest line the format has, not after all memory is used."""
    lines = real_log.lines()
    with real_log.entries.open("wb") as file:
        file.write(b"\n".join(lines[:13]) + b"\n")
        for _ in range(40):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\n" + b"\n".join(lines[13:]) + b"\n")
    tool = real_log.tool()
    assert "entry 13: edited (it is too long)" in tool.text


# Checkpoint files.


def test_junk_among_the_checkpoints_is_named(real_log: RealLog) -> None:
    (real_log.local / "999999999999-20990101T000000Z.txt").write_bytes(b"junk")
    (real_log.second / "huge.txt").write_bytes(b"x" * 10_000_000)
    tool = real_log.tool()
    assert tool.kinds == ("forged", "forged")
    assert "999999999999-20990101T000000Z.txt" in tool.text


@pytest.mark.parametrize("where", ["local", "second"])
def test_a_pipe_and_a_folder_among_the_checkpoints_hold_nothing_up(real_log: RealLog, where: str) -> None:
    folder: Path = getattr(real_log, where)
    os.mkfifo(folder / "pipe.txt")
    (folder / "folder.txt").mkdir()
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    assert real_log.tool().code == (4 if where == "local" else 0)
    real_log.add(1)
    real_log.publish()


@pytest.mark.parametrize("name", ["entries.jsonl", "lock", "index/tree-0", "torn/0-0", "publish.lock"])
def test_a_pipe_in_place_of_a_file_holds_nothing_up(real_log: RealLog, name: str) -> None:
    path = real_log.settings.log / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    assert real_log.tool().code == (4 if name == "entries.jsonl" else 0)
    assert show(real_log, "--last", "1").exit_code in (0, 4)
    result = CliRunner().invoke(lab, ["log", "checkpoint"], env=real_log.environment)
    assert result.exit_code in (0, 1, 4)
    assert isinstance(result.exception, SystemExit | None)


def test_a_name_is_not_what_a_checkpoint_says(real_log: RealLog) -> None:
    """An old checkpoint under the name of a new one is an old checkpoint."""
    oldest, *rest = sorted(real_log.second.glob("*"))
    for path in (*rest, *real_log.local.glob("*")):
        path.unlink()
    oldest.rename(real_log.second / "999999999999-20990101T000000Z.txt")
    tool, script = real_log.tool(), real_log.script()
    assert tool.kinds == ("rolled_back",)
    assert script.kinds == ("rolled_back",)


def test_a_name_reaches_no_terminal_as_a_command(real_log: RealLog) -> None:
    (real_log.local / "\x1b[2J\u202etxt.txt").write_bytes(b"junk")
    result = CliRunner().invoke(lab, ["log", "verify"], env=real_log.environment)
    assert result.exit_code == 4
    assert "\x1b" not in result.output
    assert "\\x1b[2J\\u202etxt.txt" in result.output


def test_two_signatures_in_one_file_are_none(real_log: RealLog) -> None:
    path = sorted(real_log.second.glob("*"))[-1]
    text = path.read_bytes()
    path.write_bytes(text + text[text.index(b"-----BEGIN") :])
    assert "forged" in real_log.tool().kinds
    assert "forged" in real_log.script().kinds


def test_text_smuggled_in_below_the_signed_lines(real_log: RealLog) -> None:
    path = sorted(real_log.second.glob("*"))[-1]
    for smuggled in (b"note x\n\n", b"\n\n", b"time 2030-01-01T00:00:00.000000Z\n\n"):
        path.write_bytes(sorted(real_log.local.glob("*"))[-1].read_bytes().replace(b"\n\n", b"\n" + smuggled, 1))
        assert "forged" in real_log.tool().kinds
        assert "forged" in real_log.script().kinds


def test_a_checkpoint_of_another_log_by_the_same_key(real_log: RealLog) -> None:
    """It is good there, and proves nothing here."""
    other = forge.signed(real_log.lines(), real_log.key, "other.example/log", utc_text(datetime.now(UTC)))
    real_log.keep(real_log.local, other)
    assert real_log.tool().kinds == ("foreign",)


def test_a_retired_key_with_a_date_set_back(real_log: RealLog) -> None:
    """A key that was stolen after its last day signs a rewritten log as if it had been earlier."""
    now = datetime.now(UTC)
    lines = [forge.changed(line, actor="nobody") for line in real_log.lines()]
    real_log.put(forge.rechained(lines))
    real_log.forget_index()
    for folder in (real_log.local, real_log.second):
        for path in folder.glob("*"):
            path.unlink()
    old = utc_text(now - timedelta(days=3))
    real_log.keep(real_log.second, forge.signed(real_log.lines(), real_log.key, ORIGIN, old))
    last_day = (now - timedelta(days=2)).date()
    real_log.signers.write_text(allowed_signers((Key(real_log.policy.keys[0].line, None, last_day),), NAMESPACE))
    assert "backdated" in real_log.tool("--keys", str(real_log.signers)).kinds
    today = forge.signed(real_log.lines(), real_log.key, ORIGIN, utc_text(now))
    real_log.keep(real_log.second, today)
    assert "forged" in real_log.tool("--keys", str(real_log.signers)).kinds


def test_replacing_the_key_along_with_all_the_rest(real_log: RealLog, stranger: Path) -> None:
    """Log, checkpoints and key are his own work; only site.yml and the second place are not."""
    lines = forge.rechained([forge.changed(line, actor="nobody") for line in real_log.lines()])
    real_log.put(lines)
    real_log.forget_index()
    for path in real_log.local.glob("*"):
        path.unlink()
    shutil.copy(stranger, real_log.key)
    shutil.copy(stranger.with_suffix(".pub"), real_log.key.with_suffix(".pub"))
    real_log.keep(real_log.local, forge.signed(lines, stranger, ORIGIN, utc_text(datetime.now(UTC))))
    tool = real_log.tool()
    assert set(tool.kinds) == {"forged", "replaced"}
    assert "entries 0 to 8:" in tool.text


# What the tool derives, and what it shows.


def show(real_log: RealLog, *arguments: str) -> Result:
    return CliRunner().invoke(lab, ["log", "show", *arguments], env=real_log.environment)


def test_an_index_that_hides_an_entry(real_log: RealLog) -> None:
    assert len(show(real_log, "--host", "a301-03").stdout.splitlines()) == 3
    with sqlite3.connect(real_log.settings.log / "index" / "entries.sqlite") as index:
        index.execute("DELETE FROM posting WHERE seq = 13")
    assert len(show(real_log, "--host", "a301-03").stdout.splitlines()) == 2
    assert len(show(real_log, "--host", "a301-03", "--no-index").stdout.splitlines()) == 3
    real_log.forget_index()
    assert len(show(real_log, "--host", "a301-03").stdout.splitlines()) == 3


def test_an_index_that_says_otherwise(real_log: RealLog) -> None:
    """It may send one to the wrong entry, but what is shown is what stands there."""
    show(real_log, "--last", "1")
    with sqlite3.connect(real_log.settings.log / "index" / "entries.sqlite") as index:
        index.execute("UPDATE term SET value = 'wang-fang' WHERE value = 'li-na'")
    assert "wang-fang" not in show(real_log, "--person", "wang-fang").stdout


def test_a_tree_that_says_otherwise(real_log: RealLog) -> None:
    """Whatever root it leads to: what is signed must extend what was signed."""
    from hashlib import sha256

    path = real_log.settings.log / "index" / "tree.json"
    fields = json.loads(path.read_text().splitlines()[0])
    fields["peaks"] = dict.fromkeys(fields["peaks"], "ab" * 32)
    head = json.dumps(fields, sort_keys=True)
    path.write_text(f"{head}\n{sha256(head.encode()).hexdigest()}\n")
    real_log.publish()
    assert real_log.tool().code == 0


def test_what_is_written_out_never_goes_over_the_log(real_log: RealLog) -> None:
    before = real_log.entries.read_bytes()
    target = str(real_log.entries)
    link = real_log.settings.inventory / "link"
    link.symlink_to(real_log.settings.log)
    for arguments in (
        ("export", "-o", target),
        ("prove", "3", "-o", target),
        ("export", "-o", str(link / "entries.jsonl")),
    ):
        result = CliRunner().invoke(lab, ["log", *arguments], env=real_log.environment)
        assert result.exit_code == 2, result.output
    assert real_log.entries.read_bytes() == before


def test_an_outcome_named_like_a_word_of_the_tool(real_log: RealLog) -> None:
    """Words of the tool have places to fill in; what an entry says must not be taken for one."""
    lines = [entry(0, '"body":{"outcomes":{"a301-01":"finished","a301-02":{"outcome":"{0.__class__}"}}}')]
    resealed(real_log, lines)
    shown = show(real_log)
    assert shown.exit_code == 0
    assert "finished 1, {0.__class__} 1" in shown.stdout or "{0.__class__} 1, finished 1" in shown.stdout


@pytest.mark.parametrize("harm", [lambda data: b"", lambda data: data[:100], lambda data: b"\0" * len(data)])
def test_nothing_is_appended_behind_a_ruin(real_log: RealLog, harm: Callable[[bytes], bytes]) -> None:
    """0 bytes, a torn first line, all zero bytes: there were checkpoints, so it is no beginning."""
    real_log.entries.write_bytes(harm(real_log.entries.read_bytes()))
    result = CliRunner().invoke(lab, ["log", "checkpoint"], env=real_log.environment)
    assert result.exit_code == 4, result.output
    assert real_log.tool().kinds == ("deleted_all",)
    with pytest.raises(Exception, match="there was one"):
        real_log.add(1)


def test_the_log_goes_on_after_the_folder_index_is_thrown_away(real_log: RealLog) -> None:
    real_log.forget_index()
    real_log.add(2)
    real_log.publish()
    assert real_log.tool().code == 0
    assert parse(sorted(real_log.second.glob("*"))[-1].read_bytes()).size == 32
