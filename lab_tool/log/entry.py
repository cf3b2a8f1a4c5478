"""Entries: what they hold, and how one becomes a line of the log and a line becomes one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab_tool import canonical

VERSION = 1
# `prev` of the first entry.
NO_PREV = "0" * 64
# Bytes, line end included. A run on 40,000 hosts ends in an entry of some 5 MB.
LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What an entry is about; everything may be empty."""

    change: str = ""
    run: str = ""
    hosts: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The keys that say something."""
        fields = {
            "change": self.change,
            "run": self.run,
            "hosts": list(self.hosts),
            "rooms": list(self.rooms),
            "rules": list(self.rules),
        }
        return {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the log. `time` is UTC text, `prev` and `hash` are leaf hashes in hexadecimal."""

    seq: int
    time: str
    actor: str
    kind: str
    subject: Subject
    body: Mapping[str, Any]
    prev: str
    hash: str


def leaf_hash(line: bytes) -> str:
    """SHA-256 of a zero byte and the stored line without its line end: a leaf of RFC 9162."""
    return hashlib.sha256(b"\x00" + line).hexdigest()


def write_line(
    *, seq: int, time: str, actor: str, kind: str, subject: Subject, body: Mapping[str, Any], prev: str
) -> bytes:
    """The line of an entry, without line end. Raises `TypeError` for what canonical JSON can't hold, `ValueError` for
    a line longer than `LONGEST_LINE`.
    """
    line = canonical.dump(
        {
            "v": VERSION,
            "seq": seq,
            "time": time,
            "actor": actor,
            "kind": kind,
            "subject": subject.as_json(),
            "body": body,
            "prev": prev,
        }
    )
    if len(line) >= LONGEST_LINE:
        raise ValueError(f"an entry of {len(line)} bytes is longer than {LONGEST_LINE}")
    return line


def read_line(line: bytes) -> Entry:
    """The entry of a line without line end. Raises `ValueError` when it isn't one; it is not checked any further."""
    try:
        fields = json.loads(line)
        about = fields["subject"]
        subject = Subject(
            change=about.get("change", ""),
            run=about.get("run", ""),
            hosts=tuple(about.get("hosts", ())),
            rooms=tuple(about.get("rooms", ())),
            rules=tuple(about.get("rules", ())),
        )
        entry = Entry(
            seq=fields["seq"],
            time=fields["time"],
            actor=fields["actor"],
            kind=fields["kind"],
            subject=subject,
            body=fields["body"],
            prev=fields["prev"],
            hash=leaf_hash(line),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an entry: {error!r}") from error
    if type(entry.seq) is not int or not isinstance(entry.body, dict):
        raise ValueError("not an entry: seq or body has the wrong type")
    return entry
