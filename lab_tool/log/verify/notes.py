"""What a verification has to say beside its verdict: oddities, and what it could not prove."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lab_tool.clock import utc_text
from lab_tool.log.verify.report import Note, Question
from lab_tool.log.verify.scan import Scan
from lab_tool.log.verify.signed import Signed

CLOCK_SLACK = timedelta(minutes=5)


def notes(question: Question, seen: Scan, signed: list[Signed], *, skipped: int) -> Iterator[Note]:
    """In the order of reading; `skipped` signatures of checkpoints were not checked."""
    if skipped:
        yield Note("skipped", {"number": skipped})
    if seen.backwards:
        yield Note("clock_back", {"first": seen.backwards[0], "times": len(seen.backwards)})
    if seen.newest and seen.newest > utc_text(question.now + CLOCK_SLACK):
        yield Note("clock_ahead", {"time": seen.newest})
    if seen.torn:
        yield Note("torn", {"bytes": seen.torn})
    yield from _torn_pieces(question, seen)
    if not question.pinned:
        yield Note("keys_unpinned")
    for place, why in question.silent:
        yield Note("place_unreachable", {"place": place, "why": why})
    yield from _second_places(question, seen, signed)


def _torn_pieces(question: Question, seen: Scan) -> Iterator[Note]:
    """Pieces set aside and entries that name them belong together."""
    named = {str(fields["body"].get("file")): fields for fields in seen.told if fields["kind"] == "log.torn"}
    folder = question.entries.parent / "torn"
    there = {path.name: path for path in folder.glob("*-*")} if folder.is_dir() else {}
    for name, fields in named.items():
        path = there.pop(name, None)
        if path is None or not path.is_file() or _sha256(path) != fields["body"].get("sha256"):
            yield Note("torn_missing", {"file": name, "entry": fields["seq"]})
    for name in sorted(there):
        yield Note("torn_unnamed", {"file": name})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _second_places(question: Question, seen: Scan, signed: list[Signed]) -> Iterator[Note]:
    told = [
        fields for fields in seen.told if fields["kind"] == "checkpoint.published" and fields["body"].get("reached")
    ]
    shown = max((each.size for each in signed if each.place), default=0)
    if not question.configured:
        yield Note("no_second_place")
    elif question.max_age_days is not None:
        newest = max((fields["time"] for fields in told), default="")
        if newest < utc_text(question.now - timedelta(days=question.max_age_days)):
            yield Note("not_reached_lately", {"time": newest or "-", "days": question.max_age_days})
    newer = [fields for fields in told if isinstance(size := fields["body"].get("size"), int) and size > shown]
    if newer and not question.asked:
        body = newer[-1]["body"]
        places = ", ".join(str(each) for each in body["reached"])
        yield Note("newer_exists", {"size": body["size"], "places": places, "shown": shown})
