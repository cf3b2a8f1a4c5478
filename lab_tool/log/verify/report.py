"""What a verification is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from lab_tool.school.model import Key

FindingKind = Literal[
    "edit",
    "deletion",
    "insertion",
    "reordering",
    "duplicate",
    "truncation",
    "deleted_all",
    "replaced",
    "rechained",
    "fork",
    "stolen_key",
    "forged",
    "foreign",
    "backdated",
    "rolled_back",
    "stale",
]
NoteKind = Literal[
    "skipped",
    "clock_back",
    "clock_ahead",
    "torn",
    "torn_unnamed",
    "torn_missing",
    "keys_unpinned",
    "place_unreachable",
    "no_second_place",
    "not_reached_lately",
    "newer_exists",
]
Progress = Callable[[int, int], None]
# What fills the places in the words of a finding or a note.
Values = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint as somebody shows it: `place` is empty for the ones beside the log, else where it comes from."""

    place: str
    name: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """What to verify against what: `entries` is the log's file.

    `asked` names the second places that answered, `silent` those that didn't and why; `configured` says whether there
    are any. `max_age_days` is how old the newest checkpoint from elsewhere may be, None for any age.
    """

    entries: Path
    origin: str
    keys: tuple[Key, ...]
    pinned: bool
    shown: tuple[Shown, ...]
    now: datetime
    configured: bool = False
    asked: tuple[str, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    max_age_days: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that makes the log untrustworthy. Entries `first` to `last` are meant; None where none can be named."""

    kind: FindingKind
    first: int | None = None
    last: int | None = None
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know that is no contradiction."""

    kind: NoteKind
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cover:
    """The newest checkpoint from elsewhere that the log agrees with: the entries before `size` are as they were."""

    size: int
    time: str
    place: str


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. `entries` is how many form an unbroken chain from the first on, `root` their root in hexadecimal."""

    entries: int
    root: str
    newest: str
    checkpoints: int
    cover: Cover | None
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]

    @property
    def verified(self) -> bool:
        """Whether nothing contradicts the log."""
        return not self.findings
