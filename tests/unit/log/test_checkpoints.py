"""Checkpoints: their text, where they are kept, who may sign them, and that no two histories are signed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from lab_tool import signature
from lab_tool.clock import parse_utc
from lab_tool.errors import LabError, LogWriteError, UsageError, VerificationError
from lab_tool.log.checkpoint import local_checkpoints, publish
from lab_tool.log.entry import Entry
from lab_tool.log.keep import keep, kept
from lab_tool.log.keys import allowed_signers, make_key, read_keys, trusted_keys
from lab_tool.log.note import NAMESPACE, folder_name, newest, parse, signed_text
from lab_tool.log.query import Query, find
from lab_tool.log.rotation import begin, replace_lost, rotate
from lab_tool.log.store import LogStore
from lab_tool.school.model import Key, LogPolicy, SecondPlace
from lab_tool.settings import Settings
from tests.unit.log.conftest import ORIGIN, Clock, policy

Add = Callable[[int], list[Entry]]
FOLDER = SecondPlace("folder", "../second")


@pytest.fixture
def second(settings: Settings) -> Path:
    folder = settings.inventory.parent / "second"
    folder.mkdir()
    return folder


def test_the_text(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    published = publish(settings, policy(), clock)
    ((name, text),) = local_checkpoints(settings.log)
    lines = text.decode().split("\n")
    assert lines[:2] == [ORIGIN, "3"]
    assert lines[3] == "time 2026-11-24T08:00:04.000000Z"
    assert lines[4:6] == ["", "-----BEGIN SSH SIGNATURE-----"]
    assert name == "000000000003-20261124T080004Z.txt"
    checkpoint = parse(text)
    assert checkpoint.encode() == text
    assert (checkpoint.size, checkpoint.root.hex()) == (published.size, published.root)


def test_ssh_keygen_alone_can_check_it(settings: Settings, add: Add, clock: Clock, tmp_path: Path) -> None:
    add(3)
    publish(settings, policy(), clock)
    signed, _, armored = local_checkpoints(settings.log)[0][1].partition(b"\n\n")
    (tmp_path / "signature").write_bytes(armored)
    (tmp_path / "signers").write_text(allowed_signers(trusted_keys(settings, policy()).keys, NAMESPACE))
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "lab-log", "-n", NAMESPACE, "-s", "signature"]
    assert subprocess.run(command, input=signed + b"\n", cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, input=signed, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_an_entry_tells_what_reached_where(settings: Settings, add: Add, clock: Clock, second: Path) -> None:
    add(3)
    published = publish(settings, policy(FOLDER, SecondPlace("folder", "../missing")), clock)
    assert published.reached == ("folder ../second",)
    assert [each.place for each in published.failed] == ["folder ../missing"]
    assert "not mounted" in published.failed[0].reason
    (entry,) = find(settings.log, Query(kinds=("checkpoint.published",)))
    assert (entry.seq, entry.actor) == (3, "lab")
    assert (entry.body["size"], entry.body["root"]) == (3, published.root)
    assert entry.body["reached"] == ["folder ../second"]
    assert entry.body["failed"][0]["place"] == "folder ../missing"


def test_each_checkpoint_covers_the_entry_that_tells_of_the_last(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    assert [publish(settings, policy(), clock).size for _ in range(3)] == [1, 2, 3]


def test_passwords_in_addresses_are_not_recorded(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    place = SecondPlace("git", "https://user:s3cret@127.0.0.1:1/x.git")
    published = publish(settings, policy(place), clock)
    assert published.failed
    assert "s3cret" not in str(published)
    assert b"s3cret" not in (settings.log / "entries.jsonl").read_bytes()


def test_an_empty_log_is_not_signed(settings: Settings, clock: Clock) -> None:
    with pytest.raises(UsageError, match="no entry"):
        publish(settings, policy(), clock)


def test_the_key_is_made_once_and_private(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    publish(settings, policy(), clock)
    key = settings.keys / "log"
    before = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    publish(settings, policy(), clock)
    assert key.read_bytes() == before


def test_a_key_that_is_gone_is_not_silently_replaced(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    publish(settings, policy(), clock)
    (settings.keys / "log").unlink()
    with pytest.raises(LabError, match="gone") as raised:
        publish(settings, policy(), clock)
    assert "key-lost" in raised.value.next_command


def test_a_key_that_site_yml_does_not_name_signs_nothing(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    other = signature.public_line(make_key(settings.keys / "other", "x"))
    with pytest.raises(LabError, match=r"log\.keys"):
        publish(settings, LogPolicy(ORIGIN, (Key(other, None, None),), (), 8), clock)
    assert not local_checkpoints(settings.log)


def test_a_key_signs_on_its_days_only(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    line = signature.public_line(make_key(settings.keys / "log", "x"))
    for days, good in (((None, date(2026, 11, 24)), True), ((date(2026, 11, 25), None), False)):
        wanted = LogPolicy(ORIGIN, (Key(line, *days),), (), 8)
        if good:
            publish(settings, wanted, clock)
        else:
            with pytest.raises(LabError, match=r"log\.keys"):
                publish(settings, wanted, clock)


def rewrite(settings: Settings) -> None:
    path = settings.log / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"li-na", b"wu-li"))
    for left in (settings.log / "index").glob("*"):
        left.unlink()


def test_no_second_history_is_signed(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    rewrite(settings)
    with pytest.raises(VerificationError, match="does not extend its last checkpoint"):
        publish(settings, policy(), clock)
    assert len(local_checkpoints(settings.log)) == 1


def test_a_shorter_history_is_not_signed(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    path = settings.log / "entries.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    for left in (settings.log / "index").glob("*"):
        left.unlink()
    with pytest.raises(VerificationError, match="does not extend"):
        publish(settings, policy(), clock)


def test_a_second_place_that_contradicts_is_told_and_gets_nothing(
    settings: Settings, add: Add, clock: Clock, second: Path
) -> None:
    """Also when all that lies on this machine was made to fit."""
    add(3)
    publish(settings, policy(FOLDER), clock)
    rewrite(settings)
    for _, path in enumerate((settings.log / "checkpoints").glob("*")):
        path.unlink()
    published = publish(settings, policy(FOLDER), clock)
    assert not published.reached
    assert "contradicts" in published.failed[0].reason
    assert len(kept(second / folder_name(ORIGIN))) == 1


def test_a_checkpoint_that_cannot_be_kept_is_an_error(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    (settings.log / "checkpoints").write_bytes(b"no folder")
    with pytest.raises(LogWriteError):
        publish(settings, policy(), clock)


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[:-40],
        lambda text: text.replace(b"\n3\n", b"\n03\n"),
        lambda text: text.replace(b"\n3\n", b"\n-3\n"),
        lambda text: text.replace(b"\n3\n", b"\n" + b"9" * 30 + b"\n"),
        lambda text: text.replace(b"\n\n", b"\n", 1),
        lambda text: b"\n" + text,
        lambda text: text.replace(b"=\n", b"\n", 1),
        lambda text: b"\xff" + text,
        lambda text: text + b"x" * 100_000,
        lambda text: b"",
    ],
)
def test_what_is_no_checkpoint(settings: Settings, add: Add, clock: Clock, harm: Callable[[bytes], bytes]) -> None:
    add(3)
    publish(settings, policy(), clock)
    text = local_checkpoints(settings.log)[0][1]
    with pytest.raises(ValueError):
        parse(harm(text))


def test_a_mail_program_may_turn_line_ends(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    text = local_checkpoints(settings.log)[0][1]
    assert parse(text.replace(b"\n", b"\r\n")) == parse(text)


def test_the_newest_is_of_the_right_log(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    texts = [text for _, text in local_checkpoints(settings.log)]
    assert newest([*texts, b"junk", signed_text("x", 9, bytes(32), "")], ORIGIN) == parse(texts[0])
    assert newest(texts, "another") is None


def test_kept_files_are_never_overwritten(tmp_path: Path) -> None:
    keep(tmp_path, "a.txt", b"one")
    keep(tmp_path, "a.txt", b"one")
    with pytest.raises(FileExistsError):
        keep(tmp_path, "a.txt", b"two")
    assert kept(tmp_path) == [("a.txt", b"one")]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("origin", ["../../etc", ".", "a/b", "日志", "..", "/"])
def test_a_folder_for_any_origin(origin: str) -> None:
    assert "/" not in folder_name(origin)
    assert folder_name(origin) not in ("", ".", "..")


# Keys.


def test_keys_come_back_from_allowed_signers(tmp_path: Path) -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAS60uYauFdDUJ4d8R5qK2XAAw7zvlXCq5vNxq69hU5P"
    keys = (Key(line, None, None), Key(line, date(2026, 9, 1), date(2027, 8, 31)), Key(line, None, date(2026, 1, 1)))
    path = tmp_path / "signers"
    path.write_text("# a comment\n\n" + allowed_signers(keys, NAMESPACE))
    assert read_keys(path) == keys


def test_keys_of_other_makers(tmp_path: Path) -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAS60uYauFdDUJ4d8R5qK2XAAw7zvlXCq5vNxq69hU5P"
    path = tmp_path / "keys"
    path.write_text(f'{line} a comment\n*@school.example valid-before="20270901",namespaces="file" {line}\n')
    assert read_keys(path) == (Key(f"{line} a comment", None, None), Key(line, None, date(2027, 8, 31)))


@pytest.mark.parametrize("text", ["", "junk\n", "ssh-ed25519\n", "# only a comment\n"])
def test_what_holds_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_keys(path)


def test_keys_that_nobody_named_are_trusted_as_such(settings: Settings, add: Add, clock: Clock) -> None:
    add(1)
    publish(settings, policy(), clock)
    trusted = trusted_keys(settings, policy())
    assert (len(trusted.keys), trusted.pinned) == (1, False)


# Beginning, and new keys.


def test_begin(settings: Settings, clock: Clock) -> None:
    line = begin(settings, policy(), actor="os:root", clock=clock)
    (entry,) = find(settings.log, Query())
    assert (entry.kind, entry.body) == ("log.started", {"origin": ORIGIN, "key": line})
    with pytest.raises(UsageError, match="already"):
        begin(settings, policy(), actor="os:root", clock=clock)


def test_rotation(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    old_private = (settings.keys / "log").read_bytes()
    rotated = rotate(settings, policy(), actor="os:root", why="yearly", clock=clock)
    assert rotated.old != rotated.new
    assert signature.public_line(settings.keys / "log") == rotated.new
    assert old_private not in [path.read_bytes() for path in settings.keys.iterdir()]
    (entry,) = find(settings.log, Query(kinds=("log.key_rotated",)))
    from lab_tool.canonical import dump

    handover, armored = dump(entry.body["handover"]), entry.body["signature"]
    vouched = [("old", Key(rotated.old, None, None))]
    assert signature.signer_of(handover, armored, "lab-log-key", vouched, parse_utc(entry.time)) == "old"
    # The last of the old key covers all before, the first of the new one the change.
    assert [published.size for published in rotated.published] == [4, 6]
    assert {key.line.split()[1] for key in trusted_keys(settings, policy()).keys} == {
        rotated.old.split()[1],
        rotated.new.split()[1],
    }


def test_rotation_waits_for_site_yml_where_that_names_keys(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    old = signature.public_line(make_key(settings.keys / "log", "x"))
    before = LogPolicy(ORIGIN, (Key(old, None, None),), (), 8)
    rotated = rotate(settings, before, actor="os:root", why="yearly", clock=clock)
    assert len(rotated.published) == 1
    with pytest.raises(LabError, match=r"log\.keys"):
        publish(settings, before, clock)
    today = clock.now.date()
    after = LogPolicy(ORIGIN, (Key(old, None, today), Key(rotated.new, today, None)), (), 8)
    assert publish(settings, after, clock).size == 5


def test_a_lost_key(settings: Settings, add: Add, clock: Clock) -> None:
    add(3)
    publish(settings, policy(), clock)
    (settings.keys / "log").unlink()
    lost = replace_lost(settings, policy(), actor="os:root", why="disk died", clock=clock)
    assert lost.old
    (entry,) = find(settings.log, Query(kinds=("log.key_lost",)))
    assert entry.body == {"old": lost.old, "new": lost.new, "why": "disk died"}
    assert publish(settings, policy(), clock).size > lost.published[0].size


def test_a_key_of_which_nothing_is_left(settings: Settings, add: Add, clock: Clock, store: LogStore) -> None:
    add(3)
    lost = replace_lost(settings, policy(), actor="os:root", why="all gone", clock=clock)
    assert lost.old == ""
