"""Appending: what is acknowledged is there, and what can't be written leaves the log as it was."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_tool import canonical
from lab_tool.errors import LogWriteError, VerificationError
from lab_tool.log.entry import NO_PREV, Entry, Subject, leaf_hash, read_line
from lab_tool.log.store import LogStore, settled_size
from lab_tool.log.verify.line import read
from tests.unit.log.conftest import Clock

Add = Callable[[int], list[Entry]]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def lines(log: Path) -> list[bytes]:
    return (log / "entries.jsonl").read_bytes().splitlines(keepends=True)


def test_entries_are_linked_numbered_and_stored_in_canonical_form(log: Path, add: Add) -> None:
    first, second = add(2)
    stored = lines(log)
    assert [first.seq, second.seq] == [0, 1]
    assert first.prev == NO_PREV
    assert second.prev == first.hash == leaf_hash(stored[0][:-1])
    for entry, line in zip((first, second), stored, strict=True):
        assert line == canonical.dump(json.loads(line)) + b"\n"
        assert read_line(line[:-1]) == entry
        assert read(line)["time"] == entry.time
    assert first.time == "2026-11-24T08:00:01.000000Z"


def test_what_is_empty_in_the_subject_is_not_stored(store: LogStore, log: Path) -> None:
    store.append(actor="li-na", kind="plan.made", subject=Subject(change="c-1"), body={})
    assert json.loads(lines(log)[0])["subject"] == {"change": "c-1"}


def test_folder_and_files_are_private(log: Path, add: Add) -> None:
    add(1)
    assert log.stat().st_mode & 0o777 == 0o700
    assert (log / "entries.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_number_gives_the_order_when_the_clock_goes_backwards(add: Add, clock: Clock) -> None:
    add(1)
    clock.now -= timedelta(hours=1)
    (later,) = add(1)
    assert (later.seq, later.time) == (1, "2026-11-24T07:00:02.000000Z")


@settings(max_examples=60, deadline=None)
@given(body=st.dictionaries(st.text(), json_values, max_size=5), actor=st.text())
def test_any_text_stays_on_one_line_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, body: dict[str, Any], actor: str
) -> None:
    log = tmp_path_factory.mktemp("any") / "log"
    entry = LogStore(log, Clock()).append(actor=actor, kind="plan.made", subject=Subject(), body=body)
    data = (log / "entries.jsonl").read_bytes()
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert (entry.actor, entry.body) == (actor, body)
    assert read(data)["body"] == body


UNSTORABLE = {
    "float": 1.5,
    "nan": float("nan"),
    "bytes": b"bytes",
    "object": object(),
    "key that is no text": {1: 2},
    "number of 5000 digits": 10**5000,
}


@pytest.mark.parametrize("what", UNSTORABLE)
def test_what_canonical_json_does_not_hold_is_refused_and_leaves_no_trace(
    store: LogStore, log: Path, add: Add, what: str
) -> None:
    add(1)
    before = lines(log)
    with pytest.raises(LogWriteError, match=r"plan\.made"):
        store.append(actor="li-na", kind="plan.made", subject=Subject(), body={"value": UNSTORABLE[what]})
    assert lines(log) == before


def test_a_body_nested_without_end_is_refused(store: LogStore) -> None:
    body: dict[str, Any] = {}
    body["self"] = body
    with pytest.raises(LogWriteError):
        store.append(actor="li-na", kind="plan.made", subject=Subject(), body=body)


def test_an_entry_of_16_mib_is_refused(store: LogStore, log: Path) -> None:
    with pytest.raises(LogWriteError, match="longer"):
        store.append(actor="li-na", kind="plan.made", subject=Subject(), body={"text": "x" * 2**24})
    entry = store.append(actor="li-na", kind="plan.made", subject=Subject(), body={"text": "x" * (2**24 - 1000)})
    assert entry.seq == 0
    assert store.append(actor="li-na", kind="plan.made", subject=Subject(), body={}).prev == entry.hash


@pytest.mark.parametrize("kind", ["", "Change.made", "change", "change.", "change made", "änderung.x"])
def test_a_kind_has_a_family_and_a_name(store: LogStore, kind: str) -> None:
    with pytest.raises(ValueError, match="not a kind"):
        store.append(actor="li-na", kind=kind, subject=Subject(), body={})


class BrokenDisk:
    """Makes a call of `os` fail from the N-th time on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, number: int, *, short: bool = False) -> None:
        self.real = getattr(os, call)
        self.error = OSError(number, os.strerror(number))
        self.short = short
        monkeypatch.setattr(os, call, self)

    def __call__(self, *args: Any) -> Any:
        if self.short:
            return self.real(args[0], args[1][:10])
        raise self.error


@pytest.mark.parametrize(
    ("call", "number", "says"),
    [
        ("write", errno.ENOSPC, "df -h"),
        ("write", errno.EDQUOT, "df -h"),
        ("write", errno.EIO, "ls -ld"),
        ("fdatasync", errno.EIO, "ls -ld"),
        ("fdatasync", errno.ENOSPC, "df -h"),
    ],
)
def test_a_failed_write_leaves_the_log_as_it_was(
    log: Path, add: Add, monkeypatch: pytest.MonkeyPatch, call: str, number: int, says: str
) -> None:
    add(2)
    before = (log / "entries.jsonl").read_bytes()
    with monkeypatch.context() as broken:
        BrokenDisk(broken, call, number)
        with pytest.raises(LogWriteError) as raised:
            add(1)
    assert raised.value.exit_code == 1
    assert says in raised.value.next_command
    assert (log / "entries.jsonl").read_bytes() == before
    assert add(1)[0].seq == 2


def test_a_short_write_leaves_the_log_as_it_was(log: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add(2)
    before = (log / "entries.jsonl").read_bytes()
    with monkeypatch.context() as broken:
        BrokenDisk(broken, "write", errno.ENOSPC, short=True)
        with pytest.raises(LogWriteError):
            add(1)
    assert (log / "entries.jsonl").read_bytes() == before


@pytest.mark.parametrize("piece", [b'{"actor":"li-na","bo', b"\0" * 300, b"\0\0\n\0\n", b"{}\0\n", b"\0\n{"])
def test_a_torn_end_is_set_aside_and_told(log: Path, add: Add, piece: bytes) -> None:
    add(2)
    whole = (log / "entries.jsonl").stat().st_size
    with (log / "entries.jsonl").open("ab") as file:
        file.write(piece)
    assert settled_size(log) == whole
    (entry,) = add(1)
    told = read_line(lines(log)[2][:-1])
    assert (told.seq, told.kind, told.actor, entry.seq) == (2, "log.torn", "lab", 3)
    aside = log / "torn" / str(told.body["file"])
    assert aside.read_bytes() == piece
    assert told.body["size"] == len(piece)
    assert told.body["offset"] == whole
    assert entry.prev == told.hash


def test_a_torn_first_entry(log: Path, add: Add) -> None:
    log.mkdir(parents=True, mode=0o700)
    (log / "entries.jsonl").write_bytes(b'{"act')
    assert settled_size(log) == 0
    assert [entry.seq for entry in add(1)] == [1]


@pytest.mark.parametrize("dies_in", ["truncate", "entry", "settle"])
def test_a_crash_while_a_torn_end_is_set_aside_loses_nothing(
    log: Path, add: Add, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    """The piece is told of exactly once, wherever it stopped."""
    add(2)
    with (log / "entries.jsonl").open("ab") as file:
        file.write(b"torn")

    def die(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    places = {"truncate": (os, "ftruncate"), "entry": (LogStore, "_append")}
    with monkeypatch.context() as broken:
        if dies_in == "settle":
            broken.setattr("lab_tool.log.torn.settle", die)
        else:
            broken.setattr(*places[dies_in], die)
        with pytest.raises(KeyboardInterrupt):
            add(1)
    add(1)
    entries = [read_line(line[:-1]) for line in lines(log)]
    told = [entry for entry in entries if entry.kind == "log.torn"]
    assert len(told) == 1
    assert [path.name for path in (log / "torn").iterdir()] == [told[0].body["file"]]
    assert (log / "torn" / str(told[0].body["file"])).read_bytes() == b"torn"


def test_a_whole_last_line_that_is_no_entry_stops_everything(log: Path, add: Add) -> None:
    """That is no tear: somebody wrote it."""
    add(2)
    with (log / "entries.jsonl").open("ab") as file:
        file.write(b"an edited line\n")
    with pytest.raises(VerificationError, match="no entry") as raised:
        add(1)
    assert raised.value.next_command == "lab log verify"


@pytest.mark.parametrize("left", ["checkpoints/000000000002-x.txt", "index/entries.sqlite"])
@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_no_new_log_is_begun_where_there_was_one(log: Path, add: Add, left: str, how: str) -> None:
    add(2)
    (log / left).parent.mkdir()
    (log / left).write_bytes(b"")
    if how == "removed":
        (log / "entries.jsonl").unlink()
    else:
        (log / "entries.jsonl").write_bytes(b"")
    with pytest.raises(VerificationError, match="there was one") as raised:
        add(1)
    assert raised.value.exit_code == 4


def test_a_link_in_place_of_the_log_is_refused(log: Path, add: Add, tmp_path: Path) -> None:
    add(1)
    (log / "entries.jsonl").rename(tmp_path / "elsewhere")
    (log / "entries.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogWriteError):
        add(1)


def test_a_link_in_place_of_the_folder_is_refused(log: Path, add: Add, tmp_path: Path) -> None:
    add(1)
    log.rename(tmp_path / "elsewhere")
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogWriteError, match="link"):
        add(1)


def test_a_second_name_is_refused(log: Path, add: Add, tmp_path: Path) -> None:
    add(1)
    (tmp_path / "second").hardlink_to(log / "entries.jsonl")
    with pytest.raises(LogWriteError, match="second name"):
        add(1)


@pytest.mark.parametrize("name", ["entries.jsonl", "."])
def test_what_others_can_write_to_is_refused(log: Path, add: Add, name: str) -> None:
    add(1)
    (log / name).chmod(0o777)
    with pytest.raises(LogWriteError, match="others"):
        add(1)


def test_a_folder_in_place_of_the_file_is_refused(log: Path, add: Add) -> None:
    (log / "entries.jsonl").mkdir(parents=True)
    log.chmod(0o700)
    with pytest.raises(LogWriteError):
        add(1)
