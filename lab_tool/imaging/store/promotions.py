"""Which version each ring has, by the log alone: each promotion proved anew, and no file believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab_tool.canonical import dump
from lab_tool.core.gate import GrantName, require_grant
from lab_tool.core.people_watch import KIND as PEOPLE_KIND
from lab_tool.errors import RefusedError
from lab_tool.imaging.store.proof import ADDED, why_unsigned
from lab_tool.imaging.store.record import VERB
from lab_tool.imaging.store.rings import RINGS, Ring, Versions
from lab_tool.imaging.store.store import StoredImage
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, scan
from lab_tool.school.model import School
from lab_tool.settings import Settings

PROMOTED = "image.promoted"
NAMESPACE = "lab-image-promote"
PROMOTERS: Mapping[Ring, tuple[GrantName, ...]] = {"canary": ("request",), "all": ("approve",)}
RETURNERS: Mapping[Ring, tuple[GrantName, ...]] = {"canary": ("request",), "all": ("approve", "emergency")}


class Promotions:
    """What the log says of who gave which ring what, read once."""

    def __init__(self, settings: Settings, school: School) -> None:
        self._school = school
        entries = scan(settings.log, Query(kinds=(PROMOTED, ADDED, PEOPLE_KIND)))
        self._people = [entry for entry in entries if entry.kind == PEOPLE_KIND]
        self._promoted = [entry for entry in entries if entry.kind == PROMOTED]
        self._makers: dict[str, str] = {}
        for entry in entries:
            if entry.kind == ADDED:
                self._makers.setdefault(str(entry.body.get("image", "")), entry.actor)

    def history(self, name: str) -> dict[Ring, list[str]]:
        """By ring, the ids of what it had one after the other; what was gone back from is out. The last is the present.

        What counts as nobody's decision is left out, as if it had not been written.
        """
        return _replay(self._intents(name))

    def require(self, one: StoredImage, *, canary: bool) -> None:
        """Refuse a version that is not what a PC is to have by the log, whatever the inventory says."""
        ring: Ring = "canary" if canary else "all"
        has = self.history(one.manifest.name)[ring][-1:]
        if has != [one.id]:
            told = f"has {has[0][:12]}" if has else "has none"
            raise RefusedError(
                f"the inventory names {one.ref} ({one.id[:12]}), and by the log of promotions {ring} {told}",
                where="inventory/group_vars",
                next_command=f'lab image promote {one.ref} --ring {ring} --why "..."',
            )

    def strangers(self, versions: Versions) -> dict[Ring, dict[str, str]]:
        """By ring and name, what it has by the log where the inventory names something else."""
        found: dict[Ring, dict[str, str]] = {}
        for name in sorted({*versions.all, *versions.canary}):
            history = self.history(name)
            for ring in RINGS:
                has = "".join(history[ring][-1:])
                if versions.of(ring).get(name, has) != has:
                    found.setdefault(ring, {})[name] = has
        return found

    def _intents(self, name: str) -> Iterable[Mapping[str, Any]]:
        seen: set[str] = set()
        for entry in self._promoted:
            intent, armored = entry.body.get("intent"), str(entry.body.get("signature"))
            if not isinstance(intent, dict) or intent.get("name") != name or intent.get("ring") not in RINGS:
                continue
            # An old one that is written down once more is no new one: each says when it was made.
            if armored not in seen and self._counts(entry, intent, armored):
                seen.add(armored)
                yield intent

    def _counts(self, entry: Entry, intent: Mapping[str, Any], armored: str) -> bool:
        """Whether the one it names signed it, may do so, and did not give all what they made themselves."""
        person = self._school.people.get(entry.actor)
        if person is None or intent.get("person") != person.id or intent.get("origin") != self._school.log.origin:
            return False
        if why_unsigned(self._school, self._people, entry, dump(dict(intent)), armored, NAMESPACE):
            return False
        back, ring = intent.get("rollback") is True, intent["ring"]
        if ring == "all" and not back and self._makers.get(str(intent.get("image"))) == person.id:
            return False
        try:
            require_grant(person, (RETURNERS if back else PROMOTERS)[ring], VERB, frozenset())
        except RefusedError:
            return False
        return True


def _replay(intents: Iterable[Mapping[str, Any]]) -> dict[Ring, list[str]]:
    had: dict[Ring, list[str]] = {ring: [] for ring in RINGS}
    for intent in intents:
        image, ring = str(intent.get("image")), intent["ring"]
        follows = not had["canary"] or had["canary"][-1:] == had["all"][-1:]
        for each in RINGS:
            if each != ring and not (ring == "all" and follows):
                continue
            if intent.get("rollback") is True and image in had[each]:
                while had[each][-1] != image:
                    had[each].pop()
            elif had[each][-1:] != [image]:
                had[each].append(image)
    return had
