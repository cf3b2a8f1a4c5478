"""Entries for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from lab_tool.log.entry import Entry
from lab_tool.log.text import plain

COLUMNS = ("seq", "time", "actor", "kind", "change", "run", "rooms", "hosts", "rules", "body", "prev", "hash")
# A cell that begins like this is a formula to some spreadsheet; the full-width forms too.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
# Without it Excel takes Chinese for Latin-1.
BYTE_ORDER_MARK = "\ufeff"


def csv_text(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines of CSV (RFC 4180) with a head. A cell that could be a formula is put behind an apostrophe."""
    yield BYTE_ORDER_MARK + _row(COLUMNS)
    for entry in entries:
        subject = entry.subject
        yield _row(
            (
                str(entry.seq),
                entry.time,
                entry.actor,
                entry.kind,
                subject.change,
                subject.run,
                " ".join(subject.rooms),
                " ".join(subject.hosts),
                " ".join(subject.rules),
                json.dumps(entry.body, ensure_ascii=False, sort_keys=True),
                entry.prev,
                entry.hash,
            )
        )


def _row(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(text: str) -> str:
    """No formula, and nothing that moves a cursor or turns text around."""
    shown = plain(text, keep="\t\r\n")
    return f"'{shown}" if shown.startswith(FORMULA) else shown
