"""Finding entries: every filter, and an index that may be thrown away, damaged or altered."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab_tool.errors import VerificationError
from lab_tool.log import index
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find, line_of, newest, scan
from lab_tool.log.store import LogStore

Add = Callable[[int], list[Entry]]
Ask = Callable[[Path, Query], list[Entry]]


@pytest.fixture
def filled(store: LogStore, log: Path) -> Path:
    """Seven entries of different kinds."""
    one, both = ("a301-01",), ("a301-01", "a301-02")
    room, run = ("a301",), Subject(change="c-1", run="r-1", hosts=("a301-01",), rooms=("a301",))
    rows: list[tuple[str, str, Subject, dict[str, Any]]] = [
        ("li-na", "change.requested", Subject(change="c-1", hosts=both, rooms=room), {"why": "x"}),
        ("wang-fang", "change.approved", Subject(change="c-1"), {"person": "li-na"}),
        ("li-na", "run.started", run, {"approval": {"approver": "wang-fang"}}),
        ("li-na", "task.changed", Subject(run="r-1", hosts=one, rooms=room, rules=("B2",)), {}),
        ("li-na", "task.failed", Subject(run="r-1", hosts=("a301-02",), rooms=room, rules=("B2", "B1")), {}),
        ("李娜\ud800", "people.changed", Subject(rooms=("b 101",)), {"person": 5}),
        ("li-na", "run.finished", Subject(change="c-1", run="r-1", hosts=one), {"person": "'; DROP TABLE entry"}),
    ]
    for actor, kind, subject, body in rows:
        store.append(actor=actor, kind=kind, subject=subject, body=body)
    return log


@pytest.mark.parametrize("ask", [find, scan])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), [0, 1, 2, 3, 4, 5, 6]),
        (Query(kinds=("task.changed",)), [3]),
        (Query(kinds=("task.*",)), [3, 4]),
        (Query(kinds=("change.*", "run.started")), [0, 1, 2]),
        (Query(kinds=("no.such",)), []),
        (Query(change="c-1"), [0, 1, 2, 6]),
        (Query(run="r-1"), [2, 3, 4, 6]),
        (Query(host="a301-01"), [0, 2, 3, 6]),
        (Query(host="a301-0"), []),
        (Query(room="a301"), [0, 2, 3, 4]),
        (Query(room="b 101"), [5]),
        (Query(rule="B1"), [4]),
        (Query(person="li-na"), [0, 1, 2, 3, 4, 6]),
        (Query(person="wang-fang"), [1, 2]),
        (Query(person="李娜\ud800"), [5]),
        (Query(person="'; DROP TABLE entry"), [6]),
        (Query(person="' OR 1=1 --"), []),
        (Query(since="2026-11-24T08:00:05.000000Z"), [4, 5, 6]),
        (Query(until="2026-11-24T08:00:05.000000Z"), [0, 1, 2, 3]),
        (Query(since="2026-11-24T08:00:02.000000Z", until="2026-11-24T08:00:04.000000Z"), [1, 2]),
        (Query(last=2), [5, 6]),
        (Query(last=100), [0, 1, 2, 3, 4, 5, 6]),
        (Query(host="a301-01", last=2), [3, 6]),
        (Query(host="a301-01", kinds=("run.*",), run="r-1", person="wang-fang"), [2]),
    ],
)
def test_filters(filled: Path, ask: Ask, query: Query, expected: list[int]) -> None:
    assert [entry.seq for entry in ask(filled, query)] == expected


def test_nothing_is_found_where_there_is_no_log(log: Path) -> None:
    assert find(log, Query()) == []
    assert scan(log, Query()) == []
    assert not log.exists()


def test_a_question_does_not_make_it_look_as_if_there_had_been_a_log(log: Path, add: Add) -> None:
    log.mkdir(parents=True, mode=0o700)
    (log / "entries.jsonl").write_bytes(b"")
    assert find(log, Query()) == []
    assert add(1)[0].seq == 0


def test_a_log_that_is_gone_is_not_an_empty_one(log: Path, add: Add) -> None:
    add(3)
    find(log, Query())
    (log / "entries.jsonl").unlink()
    with pytest.raises(VerificationError, match="there was one"):
        find(log, Query())


def test_what_is_appended_is_found_at_once(log: Path, add: Add) -> None:
    for number in range(1, 6):
        add(1)
        assert len(find(log, Query(host="a301-00"))) == number


def test_many_batches(log: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BATCH", 3)
    add(10)
    assert [entry.seq for entry in find(log, Query(room="a301"))] == list(range(10))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _garbage(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"garbage" * 1000)


def _empty(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"")


def _cut(folder: Path) -> None:
    path = folder / "entries.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


def _foreign(folder: Path) -> None:
    with sqlite3.connect(folder / "entries.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")


def _other_tables(folder: Path) -> None:
    with sqlite3.connect(folder / "entries.sqlite") as connection:
        connection.execute("DROP TABLE posting")


def _half_built(folder: Path) -> None:
    (folder / "entries.sqlite").rename(folder / "building")


@pytest.mark.parametrize("harm", [_remove, _garbage, _empty, _cut, _foreign, _other_tables, _half_built])
def test_an_index_that_is_gone_or_damaged_is_built_anew(log: Path, add: Add, harm: Callable[[Path], None]) -> None:
    add(50)
    find(log, Query())
    harm(log / "index")
    add(1)
    assert len(find(log, Query(room="a301"))) == 51


def test_a_log_on_a_read_only_medium_is_read_without_an_index(log: Path, add: Add) -> None:
    add(3)
    (log / "index").write_bytes(b"no folder can be made here")
    assert len(find(log, Query(room="a301"))) == 3


def test_an_altered_log_does_not_pass_for_the_indexed_one(log: Path, add: Add) -> None:
    add(3)
    find(log, Query())
    path = log / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"li-na", b"wu-li"))
    with pytest.raises(VerificationError, match="not the one that was indexed"):
        find(log, Query())


def test_a_log_that_was_cut_does_not_pass_for_the_indexed_one(log: Path, add: Add) -> None:
    add(3)
    find(log, Query())
    path = log / "entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(VerificationError, match="not the one that was indexed"):
        find(log, Query())


def test_an_edited_entry_is_not_shown(log: Path, add: Add) -> None:
    """Not even while the end of the log, which the index looks at, is as it was."""
    add(3)
    find(log, Query())
    path = log / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"li-na", b"wu-li", 1))
    assert len(find(log, Query(host="a301-02"))) == 1
    with pytest.raises(VerificationError, match="entry 0 is not what it was"):
        find(log, Query(host="a301-00"))


def test_an_altered_index_shows_no_entry_that_is_not_there(log: Path, store: LogStore) -> None:
    """An entry that stands inside another one's body is none, whatever the index says."""
    inner = {"actor": "x", "body": {}, "kind": "a.b", "prev": "0" * 64, "seq": 0, "subject": {}, "time": "t", "v": 1}
    store.append(actor="li-na", kind="evidence.read", subject=Subject(), body={"values": inner})
    find(log, Query())
    line = (log / "entries.jsonl").read_bytes()
    start = line.index(b'{"actor":"x"')
    length = line.index(b'"v":1}', start) + 6 - start
    with sqlite3.connect(log / "index" / "entries.sqlite") as connection:
        connection.execute("UPDATE entry SET start = ?, length = ?", (start, length))
    with pytest.raises(VerificationError):
        find(log, Query())


def test_an_altered_index_can_hide_but_not_from_scan(log: Path, add: Add) -> None:
    add(3)
    find(log, Query())
    with sqlite3.connect(log / "index" / "entries.sqlite") as connection:
        connection.execute("DELETE FROM posting WHERE seq = 1")
    assert [entry.seq for entry in find(log, Query(room="a301"))] == [0, 2]
    assert [entry.seq for entry in scan(log, Query(room="a301"))] == [0, 1, 2]


@pytest.mark.parametrize("column", ["start", "length"])
@pytest.mark.parametrize("value", [-5, 2**40, 2**62, "text", b"blob"])
def test_nonsense_in_the_index_is_an_error_for_people(log: Path, add: Add, column: str, value: object) -> None:
    add(3)
    find(log, Query())
    with sqlite3.connect(log / "index" / "entries.sqlite") as connection:
        connection.execute(f"UPDATE entry SET {column} = ? WHERE seq = 1", (value,))
    with pytest.raises(VerificationError):
        find(log, Query())


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"no json",
        b'{"seq":1}',
        b'{"actor":5,"body":{},"kind":"a.b","prev":"","seq":1,"subject":{"hosts":[[]]},"time":"","v":1}',
        b'{"actor":"a","body":{},"kind":"a.b","prev":"","seq":1,"subject":{"hosts":5},"time":"","v":1}',
        b'{"actor":"a","body":{},"kind":"a.b","prev":"","seq":1,"subject":{},"time":5,"v":1}',
        b'{"actor":"a","body":[],"kind":"a.b","prev":"","seq":1,"subject":{},"time":"","v":1}',
        b'{"actor":"a","body":{},"kind":[],"prev":"","seq":1,"subject":[],"time":"","v":1}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("ask", [find, scan])
def test_a_line_that_is_no_entry_is_named(log: Path, add: Add, ask: Ask, line: bytes) -> None:
    add(1)
    with (log / "entries.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(VerificationError, match="line 2"):
        ask(log, Query())


def test_the_line_of_an_entry(log: Path, add: Add) -> None:
    add(3)
    assert line_of(log, 1) == (log / "entries.jsonl").read_bytes().splitlines()[1]
    assert line_of(log, 3) is None


def test_the_newest_of_each_is_found_by_host_and_verb(store: LogStore, log: Path) -> None:
    both = Subject(hosts=("a301-01", "a301-02"))
    rows: list[tuple[str, dict[str, Any]]] = [
        ("evidence.read", {"evidence": {"verb": "patch", "outcome": "ok"}}),
        ("evidence.read", {"evidence": {"verb": "patch", "outcome": "failed"}}),
        ("evidence.read", {"evidence": {"verb": "patch", "outcome": "ok"}, "check": True}),
        ("run.finished", {"verb": "patch"}),
        ("run.interrupted", {"verb": "patch"}),
        ("run.finished", {"verb": "patch", "check": True}),
        ("evidence.read", {"evidence": "patch ok a301-01"}),
        ("task.changed", {"evidence": {"verb": "patch", "outcome": "ok"}}),
    ]
    for kind, body in rows:
        store.append(actor="li-na", kind=kind, subject=both, body=body)
    terms = {
        ("evidence", "patch ok a301-01"): 0,
        ("evidence", "patch failed a301-02"): 1,
        ("rehearsed_evidence", "patch ok a301-01"): 2,
        ("end", "patch a301-02"): 4,
        ("rehearsed_end", "patch a301-02"): 5,
    }
    found = newest(log, [*terms, ("evidence", "backup ok a301-01"), ("end", "\ud800")])
    assert {term: entry.seq for term, entry in found.items()} == terms


def test_there_is_no_newest_where_there_is_no_log(log: Path) -> None:
    assert newest(log, [("end", "patch a301-01")]) == {}
