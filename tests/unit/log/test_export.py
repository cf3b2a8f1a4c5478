"""CSV that a spreadsheet reads and does not obey."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.log.entry import Entry, Subject
from lab_tool.log.export import COLUMNS, csv_text
from lab_tool.log.query import Query, find, iterate_lines
from lab_tool.log.store import LogStore

Add = Callable[[int], list[Entry]]


def rows(log: Path) -> list[dict[str, str]]:
    text = "".join(csv_text(find(log, Query())))
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_columns(log: Path, add: Add) -> None:
    add(2)
    found = rows(log)
    assert tuple(found[0]) == COLUMNS
    assert found[1]["hosts"] == "a301-01"
    assert found[1]["body"] == '{"task": "Linux | Upgrade"}'
    assert found[1]["prev"] == found[0]["hash"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n="])
def test_no_cell_is_a_formula(log: Path, store: LogStore, start: str) -> None:
    evil = f"{start}cmd|' /C calc'!A0"
    store.append(actor=evil, kind="plan.made", subject=Subject(change=evil, hosts=(evil,)), body={})
    (row,) = rows(log)
    for column in ("actor", "change", "hosts"):
        assert row[column] == f"'{evil}"


def test_quotes_separators_and_line_ends_stay_in_their_cell(log: Path, store: LogStore) -> None:
    store.append(actor='a",b;\r\nc', kind="plan.made", subject=Subject(), body={"text": '"\n=1'})
    (row,) = rows(log)
    assert row["actor"] == 'a",b;\r\nc'
    assert row["seq"] == "0"


def test_nothing_moves_the_cursor_or_turns_text_around(log: Path, store: LogStore) -> None:
    store.append(actor="\x1b[2J\u202eevil\ud800\x00", kind="plan.made", subject=Subject(), body={"李": "打包\x9b"})
    (row,) = rows(log)
    assert row["actor"] == "\\x1b[2J\\u202eevil\\ud800\\x00"
    assert row["body"] == '{"李": "打包\\x9b"}'


def test_lines_are_those_of_the_log(log: Path, add: Add) -> None:
    add(3)
    stored = (log / "entries.jsonl").read_bytes().splitlines()
    assert [line for _, line in iterate_lines(log, Query())] == stored
    assert [line for _, line in iterate_lines(log, Query(host="a301-01"))] == stored[1:2]
