"""Each way to alter a log that issue and manual name, and that both verifiers catch it and say what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab_tool.clock import utc_text
from lab_tool.log.entry import leaf_hash
from lab_tool.log.note import parse
from lab_tool.settings import PROJECT
from tests.tamper import forge
from tests.tamper.conftest import ORIGIN, RealLog

Both = Callable[..., None]


def test_an_honest_log_verifies(real_log: RealLog) -> None:
    tool, script = real_log.tool(), real_log.script()
    assert (tool.code, tool.kinds, tool.notes) == (0, (), ())
    assert (script.code, script.kinds) == (0, ())
    assert "30 entries in an unbroken chain; the first 29 are as they were" in script.text


def test_edit(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], actor="wang-fang")
    real_log.put(lines)
    both("edit", "entry 13:")


def test_edit_of_its_number(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], seq=17)
    real_log.put(lines)
    both("edit", "entry 13:")


def test_edit_of_its_link(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], prev="ab" * 32)
    real_log.put(lines)
    both("edit", "entry 13:")


def test_edit_of_the_first(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[0] = forge.changed(lines[0], actor="wang-fang")
    real_log.put(lines)
    both("edit", "entry 0:")


def test_edit_into_what_is_no_entry(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13] = lines[13].replace(b'"actor"', b'"Actor"')
    real_log.put(lines)
    both("edit", "entry 13:")


def test_edit_of_the_last_that_a_checkpoint_covers(real_log: RealLog, both: Both) -> None:
    """Nothing links to it but the signed root."""
    lines = real_log.lines()[:29]
    lines[28] = forge.changed(lines[28], actor="wang-fang")
    real_log.put(lines)
    both("rechained", "entry 28:", in_script=("entries 19 to 28:",))


def test_deletion(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    del lines[13]
    real_log.put(lines)
    both("deletion", in_script=("entries 13 to 13:",))
    assert "entry 13:" in real_log.tool().text


def test_deletion_of_several(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    del lines[13:17]
    real_log.put(lines)
    both("deletion", "entries 13 to 16:")


def test_deletion_of_the_first(real_log: RealLog, both: Both) -> None:
    real_log.put(real_log.lines()[1:])
    both("deletion", in_script=("entries 0 to 0:",))
    assert "entry 0:" in real_log.tool().text


def test_insertion(real_log: RealLog, both: Both) -> None:
    """A new entry that links to the one before it; the rest is left as it is."""
    lines = real_log.lines()
    lines.insert(13, forge.changed(lines[13], actor="wang-fang"))
    real_log.put(lines)
    both("insertion", "entry 13:")


def test_insertion_of_one_that_links_to_nothing(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines.insert(13, forge.changed(lines[13], prev="ab" * 32))
    real_log.put(lines)
    both("insertion", "entry 13:")


def test_reordering(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13], lines[17] = lines[17], lines[13]
    real_log.put(lines)
    both("reordering", in_script=("entry 13:",))
    assert "entries 13 to 17:" in real_log.tool().text


def test_duplicate(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines.insert(18, lines[13])
    real_log.put(lines)
    both("duplicate", "entry 13:", "line 19")


def test_rechaining(real_log: RealLog, both: Both) -> None:
    """After an edit the whole chain is computed anew: only the checkpoints disagree."""
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], actor="wang-fang")
    real_log.put(forge.rechained(lines))
    both("rechained", "entry 13:", in_script=("entries 9 to 18:",))


def test_rechaining_with_the_index_thrown_away(real_log: RealLog, both: Both) -> None:
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], actor="wang-fang")
    real_log.put(forge.rechained(lines))
    real_log.forget_index()
    both("rechained", "entries 9 to 18:")


def test_truncation(real_log: RealLog, both: Both) -> None:
    real_log.put(real_log.lines()[:22])
    both("truncation", "entries 22 to 28:")


def test_truncation_down_to_a_checkpoint_with_the_later_ones_removed_here(real_log: RealLog, both: Both) -> None:
    real_log.put(real_log.lines()[:19])
    real_log.forget_index()
    sorted(real_log.local.glob("*"))[-1].unlink()
    both("truncation", "entries 19 to 28:")


@pytest.mark.parametrize("how", ["emptied", "removed", "folder removed"])
def test_deletion_of_everything(real_log: RealLog, both: Both, how: str) -> None:
    if how == "emptied":
        real_log.entries.write_bytes(b"")
    elif how == "removed":
        real_log.entries.unlink()
    else:
        import shutil

        shutil.rmtree(real_log.settings.log)
    both("deleted_all", "entries 0 to 28:")


def test_replaced_file(real_log: RealLog, both: Both) -> None:
    """Another log, whole in itself, in the place of this one."""
    lines = [forge.changed(line, actor="nobody") for line in real_log.lines()]
    real_log.put(forge.rechained(lines))
    real_log.forget_index()
    both("replaced", "entries 0 to 8:")


def test_forked_history(real_log: RealLog, both: Both) -> None:
    """Whoever has the key shows the second place one log, and keeps another one here."""
    lines = real_log.lines()
    other = forge.rechained([*lines[:25], forge.changed(lines[25], actor="wang-fang"), *lines[26:29]])
    checkpoint = parse(sorted(real_log.local.glob("*"))[-1].read_bytes())
    assert checkpoint.size == 29
    forged = forge.signed(other, real_log.key, ORIGIN, utc_text(datetime.now(UTC)))
    real_log.keep(real_log.second, forged)
    both("fork", "forked history")
    assert "29 entries" in real_log.tool().text


def test_forged_signature(real_log: RealLog, both: Both, stranger: Path) -> None:
    """All rewritten, and signed with a key that nobody trusts."""
    lines = forge.rechained([forge.changed(line, actor="nobody") for line in real_log.lines()])
    real_log.put(lines)
    real_log.forget_index()
    for path in (*real_log.local.glob("*"), *real_log.second.glob("*")):
        path.unlink()
    for folder in (real_log.local, real_log.second):
        real_log.keep(folder, forge.signed(lines, stranger, ORIGIN, utc_text(datetime.now(UTC))))
    both("forged", "forged signature")


def test_altered_checkpoint(real_log: RealLog, both: Both) -> None:
    """A genuine signature over another size."""
    path = sorted(real_log.second.glob("*"))[-1]
    path.write_bytes(path.read_bytes().replace(b"\n29\n", b"\n28\n"))
    both("forged", path.name)


def test_signature_of_another_purpose(real_log: RealLog, both: Both) -> None:
    """The key signs something else in another namespace: no checkpoint."""
    from lab_tool import signature

    path = sorted(real_log.second.glob("*"))[-1]
    checkpoint = parse(path.read_bytes())
    armored = signature.sign(checkpoint.signed, real_log.key, "lab-change")
    path.write_bytes(checkpoint.signed + b"\n" + armored.encode())
    both("forged", path.name)


def test_rewrite_with_the_stolen_key(real_log: RealLog, both: Both) -> None:
    """Log and checkpoints here rewritten by somebody who has everything on this machine, and let grow on."""
    lines = real_log.lines()
    lines[13] = forge.changed(lines[13], actor="wang-fang")
    lines = forge.rechained(lines)
    real_log.put(lines)
    real_log.forget_index()
    for path in real_log.local.glob("*"):
        path.unlink()
    real_log.keep(real_log.local, forge.signed(lines, real_log.key, ORIGIN, utc_text(datetime.now(UTC))))
    both("stolen_key", "entries 9 to 18:")
    assert "signing key" in real_log.tool().text


def test_old_checkpoint_shown_as_new_by_the_second_place(real_log: RealLog, both: Both) -> None:
    """The place is set back to an older state; the log tells of a newer one."""
    sorted(real_log.second.glob("*"))[-1].unlink()
    for path in real_log.local.glob("*"):
        path.unlink()
    real_log.add(1)
    real_log.put(real_log.lines())
    both("rolled_back", "old checkpoint shown as new")


def test_old_checkpoint_shown_as_new_with_a_log_of_the_same_age(real_log: RealLog) -> None:
    """Log, checkpoints and second place set back together: nothing contradicts anything but the calendar."""
    old = datetime.now(UTC) - timedelta(days=30)
    lines = [forge.changed(line, time=utc_text(old + timedelta(seconds=n))) for n, line in enumerate(real_log.lines())]
    lines = forge.rechained([line for line in lines if json.loads(line)["kind"] != "checkpoint.published"])
    real_log.put(lines)
    real_log.forget_index()
    for folder in (real_log.local, real_log.second):
        for path in folder.glob("*"):
            path.unlink()
        real_log.keep(folder, forge.signed(lines, real_log.key, ORIGIN, utc_text(old + timedelta(hours=1))))
    for verdict in (real_log.tool(), real_log.script()):
        assert verdict.code in (1, 4)
        assert verdict.kinds == ("stale",)
        assert "old checkpoint shown as new" in verdict.text
    assert real_log.tool("--max-age", "0").kinds == ()


def test_clock_going_backwards_is_told_and_not_fatal(real_log: RealLog) -> None:
    real_log.clock.now -= timedelta(minutes=10)
    real_log.add(3)
    tool, script = real_log.tool(), real_log.script()
    assert (tool.code, script.code) == (0, 0)
    assert "clock_back" in tool.notes
    assert "the clock goes backwards at entry 30" in script.text


def test_torn_last_line_is_told_and_not_fatal(real_log: RealLog) -> None:
    with real_log.entries.open("ab") as file:
        file.write(b'{"actor":"li-na","bo')
    tool, script = real_log.tool(), real_log.script()
    assert (tool.code, script.code) == (0, 0)
    assert "torn" in tool.notes
    assert "20 bytes at the end are torn" in script.text


def test_torn_line_that_a_checkpoint_covers_is_truncation(real_log: RealLog, both: Both) -> None:
    """Making the end look torn does not make it one."""
    real_log.entries.write_bytes(b"\n".join(real_log.lines()[:29])[:-5])
    assert "truncation" in real_log.tool().kinds
    assert "entry 28:" in real_log.tool().text
    assert "truncation" in real_log.script().kinds


def test_the_next_link_is_what_names_the_edited_entry(real_log: RealLog) -> None:
    """An edit is pinned to the entry whose text was changed, not to the one after it that shows it."""
    lines = real_log.lines()
    assert json.loads(lines[14])["prev"] == leaf_hash(lines[13])
    lines[13] = forge.changed(lines[13], time="2020-01-01T00:00:00.000000Z")
    real_log.put(lines)
    assert "entry 13:" in real_log.tool().text
    assert "entry 14:" not in real_log.tool().text


def test_thousands_of_checkpoints_are_compared_and_the_newest_checked(
    real_log: RealLog, stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that disagrees is checked however old it is; one that agrees says nothing new."""
    monkeypatch.setattr("lab_tool.log.verify.judge.ENOUGH", 1)
    tool = real_log.tool()
    assert (tool.code, tool.notes) == (0, ("skipped",))
    lines = real_log.lines()
    real_log.keep(real_log.local, forge.signed(lines[:3], stranger, ORIGIN, utc_text(datetime.now(UTC))))
    assert real_log.tool().code == 0
    other = [forge.changed(lines[0], actor="nobody"), *lines[1:4]]
    real_log.keep(real_log.local, forge.signed(other, stranger, ORIGIN, utc_text(datetime.now(UTC))))
    assert real_log.tool().kinds == ("forged",)
    real_log.keep(real_log.second, forge.signed(other[:2], real_log.key, ORIGIN, utc_text(datetime.now(UTC))))
    assert set(real_log.tool().kinds) == {"forged", "stolen_key"}


def test_the_least_verifier_in_the_manual(real_log: RealLog, tmp_path: Path) -> None:
    """What docs/LOG.md prints works as it stands there."""
    manual = (PROJECT / "docs" / "LOG.md").read_text(encoding="utf-8")
    script = tmp_path / "least.py"
    script.write_text(manual.split("```python\n")[1].split("```")[0])
    newest = sorted(real_log.second.glob("*"))[-1]

    def least() -> str:
        command = [sys.executable, "-I", str(script), str(real_log.entries), str(newest)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    assert least() == ""
    lines = real_log.lines()
    edited = [*lines[:13], forge.changed(lines[13], actor="nobody"), *lines[14:]]
    for altered, says in (
        (edited, "entry 14 does not follow"),
        (forge.rechained(edited), "says otherwise"),
        (lines[:20], "there were 29 entries"),
    ):
        real_log.put(altered)
        assert says in least()
