"""Finding entries: by kind, change, run, host, room, person, rule and time."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lab_tool.errors import VerificationError
from lab_tool.log.entry import LONGEST_LINE, Entry, read_line
from lab_tool.log.index import UNREADABLE, open_index, read_all, terms, text_key
from lab_tool.log.store import ENTRIES, settled_size

NEWEST = """
SELECT seq, start, length, hash FROM entry WHERE seq =
(SELECT max(seq) FROM posting WHERE term = (SELECT id FROM term WHERE field = ? AND value = ?))
"""
FIELDS = ("change", "run", "host", "room", "person", "rule")


@dataclass(frozen=True, slots=True)
class Query:
    """What all entries wanted have in common; what is empty is not asked for.

    `kinds` are exact, or begin with what stands before a closing `*`. `person` is the actor, or a person, requester or
    approver that the body, or the approval in it, names. `since` (included) and `until` (not included) are times as the
    log writes them. `last` keeps the newest so many.
    """

    kinds: tuple[str, ...] = ()
    change: str = ""
    run: str = ""
    host: str = ""
    room: str = ""
    person: str = ""
    rule: str = ""
    since: str = ""
    until: str = ""
    last: int | None = None


def find(directory: Path, query: Query) -> list[Entry]:
    """The entries that fit, in the order of the log. Raises `VerificationError` as `iterate` does."""
    return list(iterate(directory, query))


def scan(directory: Path, query: Query) -> list[Entry]:
    """As `find`, from the log alone: slower, but an index that somebody altered hides nothing."""
    size = settled_size(directory)
    found: deque[Entry] = deque(maxlen=query.last)
    if size:
        # As canonical JSON writes a kind: reading every line to tell its kind takes forty times as long.
        marks = tuple(b'"kind":"' + (kind[:-1] if kind.endswith("*") else f'{kind}"').encode() for kind in query.kinds)
        found.extend(entry for entry in read_all(directory, size, marks) if _fits(entry, query))
    return list(found)


def newest(directory: Path, terms: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
    """The last entry that the index holds under each of the terms (field, value), where there is one."""
    found: dict[tuple[str, str], Entry] = {}
    with open_index(directory) as index:
        if index is None:
            return found
        read: dict[int, Entry] = {}
        with (directory / ENTRIES).open("rb") as file:
            for field, value in terms:
                row = index.execute(NEWEST, (field, text_key(value))).fetchone()
                if row:
                    read[row[0]] = read.get(row[0]) or _read(file, row, directory)[0]
                    found[field, value] = read[row[0]]
    return found


def line_of(directory: Path, seq: int) -> bytes | None:
    """The stored line of an entry, without its line end; None when there is no such entry."""
    with open_index(directory) as index:
        if index is None or not 0 <= seq < 2**63:
            return None
        row = index.execute("SELECT seq, start, length, hash FROM entry WHERE seq = ?", (seq,)).fetchone()
        with (directory / ENTRIES).open("rb") as file:
            return _read(file, row, directory)[1] if row else None


def iterate(directory: Path, query: Query) -> Iterator[Entry]:
    """As `find`, one at a time. An entry that changed since it was indexed raises `VerificationError`."""
    return (entry for entry, _ in iterate_lines(directory, query))


def iterate_lines(directory: Path, query: Query) -> Iterator[tuple[Entry, bytes]]:
    """As `iterate`, each with its stored line, without line end."""
    with open_index(directory) as index:
        if index is None:
            return
        rows = index.execute(*_statement(index, query))
        with (directory / ENTRIES).open("rb") as file:
            for row in rows:
                yield _read(file, row, directory)


def _read(file: BinaryIO, row: tuple[int, int, int, bytes], directory: Path) -> tuple[Entry, bytes]:
    """The entry at an index row: a whole line of the log, with that number and that hash."""
    seq, start, length, digest = row
    try:
        file.seek(max(0, start - 1))
        before = file.read(1) if start else b"\n"
        line = file.read(length) if length <= LONGEST_LINE else b""
        if before == b"\n" and line.find(b"\n") == length - 1:
            entry = read_line(line[:-1])
            if entry.seq == seq and entry.hash == digest.hex():
                return entry, line[:-1]
    except UNREADABLE:
        pass
    raise VerificationError(
        f"entry {seq} is not what it was when it was indexed",
        where=str(directory / ENTRIES),
        next_command="lab log verify",
    )


def _statement(index: sqlite3.Connection, query: Query) -> tuple[str, list[str | int]]:
    conditions: list[str] = []
    values: list[str | int] = []
    for field in FIELDS:
        wanted = getattr(query, field)
        if wanted:
            conditions.append(
                "seq IN (SELECT seq FROM posting WHERE term = (SELECT id FROM term WHERE field = ? AND value = ?))"
            )
            values += [field, text_key(wanted)]
    if query.kinds:
        numbers = _kind_terms(index, query.kinds)
        conditions.append(f"seq IN (SELECT seq FROM posting WHERE term IN ({','.join('?' * len(numbers))}))")
        values += numbers
    for wanted, comparison in ((query.since, "time >= ?"), (query.until, "time < ?")):
        if wanted:
            conditions.append(comparison)
            values.append(wanted)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    select = f"SELECT seq, start, length, hash FROM entry{where}"
    if query.last is None:
        return f"{select} ORDER BY seq", values
    return f"SELECT * FROM ({select} ORDER BY seq DESC LIMIT ?) ORDER BY seq", [*values, query.last]


def _fits(entry: Entry, query: Query) -> bool:
    named = terms(entry)
    return (
        all((field, text_key(wanted)) in named for field in FIELDS if (wanted := getattr(query, field)))
        and (not query.kinds or _is_kind(entry.kind, query.kinds))
        and query.since <= entry.time
        and (not query.until or entry.time < query.until)
    )


def _is_kind(kind: str, wanted: tuple[str, ...]) -> bool:
    return any(kind.startswith(each[:-1]) if each.endswith("*") else kind == each for each in wanted)


def _kind_terms(index: sqlite3.Connection, kinds: tuple[str, ...]) -> list[int]:
    """The numbers of the kinds that occur: there are a few dozen at most."""
    return [
        number
        for number, kind in index.execute("SELECT id, value FROM term WHERE field = 'kind'")
        if _is_kind(kind, kinds)
    ]
