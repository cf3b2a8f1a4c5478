"""A SQLite index over the log: which entry is where, and which entries name what. May be thrown away at any time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lab_tool.errors import VerificationError
from lab_tool.log.derived import derived_folder
from lab_tool.log.entry import Entry, leaf_hash, read_line
from lab_tool.log.store import ENTRIES, refuse_if_emptied, settled_size

SCHEMA = 3
TABLES = """
CREATE TABLE entry (seq INTEGER PRIMARY KEY, start INTEGER NOT NULL, length INTEGER NOT NULL, time TEXT NOT NULL,
                    hash BLOB NOT NULL);
CREATE TABLE term (id INTEGER PRIMARY KEY, field TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (field, value));
CREATE TABLE posting (term INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (term, seq)) WITHOUT ROWID;
CREATE INDEX entry_time ON entry (time);
"""
BATCH = 50_000
# What comes of an index somebody altered: numbers that are no place in a file, text where a number should be.
UNREADABLE = (ValueError, TypeError, AttributeError, OverflowError, OSError)
# Who an entry is by or about: its actor, and the persons its body, or the approval in it, names.
PERSON_FIELDS = ("person", "requester", "approver")
# The kinds that say what became of every host of a run.
ENDS = ("run.finished", "run.interrupted")


@contextmanager
def open_index(directory: Path) -> Iterator[sqlite3.Connection | None]:
    """The index of the log in `directory`, brought up to date; None where there is no entry.

    A damaged or foreign index is built anew; where it can't be written it is built in memory. Raises
    `VerificationError` when the log is not the one that was indexed.
    """
    if settled_size(directory) == 0:
        refuse_if_emptied(directory)
        yield None
        return
    with closing(_up_to_date(directory)) as index:
        yield index


def text_key(value: str) -> str:
    """`value` as SQLite can store it: half surrogates, which no UTF-8 holds, are escaped."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def terms(entry: Entry) -> set[tuple[str, str]]:
    """What an entry can be found by, as (field, value)."""
    subject, body = entry.subject, entry.body
    found = [("kind", entry.kind), ("person", entry.actor), ("change", subject.change), ("run", subject.run)]
    approval = body.get("approval")
    for part in (body, approval) if isinstance(approval, dict) else (body,):
        found += [("person", part[key]) for key in PERSON_FIELDS if isinstance(part.get(key), str)]
    for field, values in (("host", subject.hosts), ("room", subject.rooms), ("rule", subject.rules)):
        found += [(field, value) for value in values]
    found += _by_host(entry)
    return {(field, text_key(value)) for field, value in found if value}


def _by_host(entry: Entry) -> Iterator[tuple[str, str]]:
    """How a run ended on each host, and what was read back from it, by verb: so that the newest of each is found
    without reading the others. Rehearsals stand apart; what was run outside procedure, with settings that nobody
    knows, is in none.
    """
    if entry.body.get("outside") is True:
        return
    body, rehearsed = entry.body, "rehearsed_" if entry.body.get("check") is True else ""
    evidence = body.get("evidence")
    if entry.kind == "evidence.read" and isinstance(evidence, dict):
        for host in entry.subject.hosts:
            yield f"{rehearsed}evidence", f"{evidence.get('verb')} {evidence.get('outcome')} {host}"
    elif entry.kind in ENDS:
        for host in entry.subject.hosts:
            yield f"{rehearsed}end", f"{body.get('verb')} {host}"


def read_all(directory: Path, size: int, marks: tuple[bytes, ...] = ()) -> Iterator[Entry]:
    """Every entry of the first `size` bytes, without an index; of those without any of the `marks` in their line, none.

    Raises `VerificationError` at a line that is no entry.
    """
    path = directory / ENTRIES
    with path.open("rb") as file:
        for seq, line in enumerate(_lines(file, 0, size)):
            if not marks or any(mark in line for mark in marks):
                yield _entry(line, seq, path)[0]


def _up_to_date(directory: Path) -> sqlite3.Connection:
    try:
        with derived_folder(directory, "entries") as folder:
            if folder.parent == directory:
                # Looked up only now: another process may have indexed what was appended while this one waited.
                return _opened(folder / "entries.sqlite", directory / ENTRIES, settled_size(directory))
    except (OSError, sqlite3.Error):
        # A full disk, or a file of another account: reading goes on without.
        pass
    return _built_in_memory(directory, settled_size(directory))


def _opened(path: Path, entries: Path, size: int) -> sqlite3.Connection:
    if path.exists():
        try:
            index = sqlite3.connect(path)
            if index.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
                index.execute("PRAGMA synchronous = NORMAL")
                _catch_up(index, entries, size)
                return index
            index.close()
        except (sqlite3.Error, *UNREADABLE):
            pass
        for left in path.parent.glob("entries.sqlite*"):
            left.unlink()
    return _built(path, entries, size)


def _built(path: Path, entries: Path, size: int) -> sqlite3.Connection:
    """Build beside and rename, so that nobody meets half an index."""
    unfinished = path.with_name("building")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as index:
        unfinished.chmod(0o600)
        index.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + TABLES)
        _catch_up(index, entries, size)
        index.execute(f"PRAGMA user_version = {SCHEMA}")
        index.execute("PRAGMA journal_mode = WAL")
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
    os.fsync(descriptor)
    os.close(descriptor)
    unfinished.rename(path)
    return sqlite3.connect(path)


def _built_in_memory(directory: Path, size: int) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:")
    index.executescript(TABLES)
    _catch_up(index, directory / ENTRIES, size)
    return index


def _catch_up(index: sqlite3.Connection, entries: Path, size: int) -> None:
    """Index what was appended since; raise `VerificationError` if what was indexed last is not there any more."""
    row = index.execute("SELECT seq, start, length, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
    last, start, length, digest = row or (-1, 0, 0, b"")
    end = start + length
    with entries.open("rb") as file:
        if row:
            file.seek(start)
            line = file.read(length)
            if end > size or leaf_hash(line[:-1]) != digest.hex():
                raise VerificationError(
                    f"the log is not the one that was indexed: entry {last} is not where it was",
                    where=str(entries),
                    next_command="lab log verify",
                )
        if end < size:
            _index_lines(index, _lines(file, end, size), last + 1, end, entries)


def _lines(file: Iterable[bytes], at: int, size: int) -> Iterator[bytes]:
    """Whole lines up to `size`; a torn end is left to the next writer."""
    for line in file:
        at += len(line)
        if at > size or not line.endswith(b"\n"):
            return
        yield line


def _index_lines(index: sqlite3.Connection, lines: Iterable[bytes], seq: int, at: int, entries: Path) -> None:
    known: dict[tuple[str, str], int] = {}
    rows: list[tuple[int, int, int, str, bytes]] = []
    postings: list[tuple[int, int]] = []
    for line in lines:
        entry, named = _entry(line, seq, entries)
        rows.append((seq, at, len(line), text_key(entry.time), bytes.fromhex(entry.hash)))
        for term in named:
            number = known.get(term)
            if number is None:
                number = known[term] = _number(index, term)
            postings.append((number, seq))
        seq += 1
        at += len(line)
        if len(rows) == BATCH:
            _insert(index, rows, postings)
    _insert(index, rows, postings)
    index.commit()


def _number(index: sqlite3.Connection, term: tuple[str, str]) -> int:
    index.execute("INSERT OR IGNORE INTO term (field, value) VALUES (?, ?)", term)
    number: int = index.execute("SELECT id FROM term WHERE field = ? AND value = ?", term).fetchone()[0]
    return number


def _insert(
    index: sqlite3.Connection, rows: list[tuple[int, int, int, str, bytes]], postings: list[tuple[int, int]]
) -> None:
    index.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", rows)
    # In key order: the tree then grows at few places instead of everywhere.
    index.executemany("INSERT INTO posting VALUES (?, ?)", sorted(postings))
    rows.clear()
    postings.clear()


def _entry(line: bytes, seq: int, entries: Path) -> tuple[Entry, set[tuple[str, str]]]:
    try:
        entry = read_line(line[:-1])
        if entry.seq != seq:
            raise ValueError(f"entry {entry.seq} stands where entry {seq} should")
        text_key(entry.time)
        return entry, terms(entry)
    except (ValueError, AttributeError, TypeError) as error:
        raise VerificationError(
            f"line {seq + 1}: {error}", where=str(entries), next_command="lab log verify"
        ) from error
