"""What is different between two versions: packages, files, and how much a PC that has one lacks of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab_tool.imaging.store.store import Store, StoredImage


@dataclass(frozen=True, slots=True)
class Changes:
    """By name, what was and what is; empty text where it was not there, or is not any more."""

    changed: Mapping[str, tuple[str, str]]

    @property
    def added(self) -> list[str]:
        """Names that are new."""
        return [name for name, (was, _) in self.changed.items() if not was]

    @property
    def removed(self) -> list[str]:
        """Names that are gone."""
        return [name for name, (_, now) in self.changed.items() if not now]

    @property
    def other(self) -> list[str]:
        """Names that are in both, and not the same."""
        return [name for name, (was, now) in self.changed.items() if was and now]


@dataclass(frozen=True, slots=True)
class Difference:
    """From `before` to `after`. `used` are the bytes of the later version's cells, `to_fetch` of those that the other
    does not have at that place.
    """

    before: StoredImage
    after: StoredImage
    packages: Changes
    files: Changes
    used: int
    to_fetch: int


def compare(store: Store, before: StoredImage, after: StoredImage) -> Difference:
    """How `after` is different from `before`. Raises `LabError` for damaged lists."""
    was, now = store.contents(before.manifest), store.contents(after.manifest)
    used = to_fetch = 0
    old = {part.name: part for part in before.manifest.partitions if part.cells}
    for part in after.manifest.partitions:
        if not part.cells:
            continue
        cells = store.cells(part)
        there = set(store.cells(old[part.name]).cells) if part.name in old else set()
        used += cells.used
        to_fetch += sum(cells.cell_size for cell in cells.cells if cell not in there)
    return Difference(before, after, _changes(was, now, "packages"), _changes(was, now, "files"), used, to_fetch)


def _changes(was: Mapping[str, Any], now: Mapping[str, Any], kind: str) -> Changes:
    old, new = _texts(was.get(kind)), _texts(now.get(kind))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return Changes({name: (old.get(name, ""), new.get(name, "")) for name in names})


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}
