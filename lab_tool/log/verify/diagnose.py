"""Where the chain does not hold: what was done to it, and to which entry. Slow, and only asked when it is broken."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from lab_tool.log.verify.line import LineError, leaf, read
from lab_tool.log.verify.report import Finding
from lab_tool.log.verify.roots import Roots
from lab_tool.log.verify.scan import lines, whole_bytes


def diagnose(entries: Path, bad: int, problem: str) -> Finding:
    """What is wrong at line `bad` (from 0), the first that does not follow from those before it."""
    if problem:
        return Finding("edit", bad, bad, {"why": problem})
    end, _ = whole_bytes(entries)
    here, after = _two(islice(lines(entries, end), bad, bad + 2))
    number = here["seq"]
    if number == bad:
        return _broken_link(bad, here, after)
    if any(line == here["line"] for line in islice(lines(entries, end), bad)):
        return Finding("duplicate", number, number, {"line": bad + 1})
    later = _numbers(islice(lines(entries, end), bad + 1, None))
    if number > bad and bad in later:
        return Finding("reordering", bad, number, {"line": bad + 1})
    if after and after["seq"] == bad + 1:
        return Finding("edit", bad, bad, {"why": "number"})
    if number < bad:
        return Finding("insertion", number, number, {"line": bad + 1, "number": number})
    return Finding("deletion", bad, number - 1, {"line": bad + 1})


def _broken_link(bad: int, here: dict[str, Any], after: dict[str, Any] | None) -> Finding:
    """The number is right, but the line before is not the one that was there when this one was written."""
    if after and after["seq"] == bad:
        return Finding("insertion", bad, bad, {"line": bad + 1, "number": bad})
    if after and after["prev"] != leaf(here["line"]).hex():
        # Neither its own link nor the one to it holds.
        return Finding("edit", bad, bad, {"why": "both_links"})
    if after or bad == 0:
        first = max(0, bad - 1)
        return Finding("edit", first, first, {"why": "link_to_it"})
    return Finding("edit", bad - 1, bad, {"why": "link_between"})


def first_difference(entries: Path, size: int, root: bytes) -> int | None:
    """The first of `size` entries that is not what the signed `root` covers, if that can be known.

    `index/tree-0` holds the leaf hashes as they were; whether it was altered too shows in the root.
    """
    path = entries.parent / "index" / "tree-0"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        stored = file.read(size * 32)
    before = [stored[at : at + 32] for at in range(0, len(stored), 32)]
    roots = Roots()
    roots.take(before)
    if len(before) != size or roots.root != root:
        return None
    for number, line in enumerate(islice(lines(entries, whole_bytes(entries)[0]), size)):
        if leaf(line) != before[number]:
            return number
    return None


def _two(found: Iterable[bytes]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A line that can be read, and the one after it if that can be, too."""
    here, *rest = found
    fields = {**read(here), "line": here}
    try:
        return fields, {**read(rest[0]), "line": rest[0]} if rest else None
    except LineError:
        return fields, None


def _numbers(found: Iterable[bytes]) -> set[int]:
    numbers = set()
    for line in found:
        try:
            numbers.add(read(line)["seq"])
        except LineError:
            continue
    return numbers
