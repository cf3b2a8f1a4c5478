"""Whether a version was made by whom it says: the log tells so, and a signature that counted then and counts now."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from lab_tool.clock import parse_utc
from lab_tool.core.identity import bare
from lab_tool.core.people_watch import KIND as PEOPLE_KIND
from lab_tool.core.people_watch import was_key_of
from lab_tool.errors import RefusedError
from lab_tool.imaging.format.manifest import NAMESPACE
from lab_tool.imaging.store.store import StoredImage
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, scan
from lab_tool.school.model import School
from lab_tool.settings import Settings
from lab_tool.signature import signer_of, valid_on

ADDED = "image.added"


def why_unsigned(
    school: School, people: Sequence[Entry], entry: Entry, message: bytes, armored: str, namespace: str
) -> str:
    """Why `armored` is no signature over `message` by who wrote the entry, in words; empty when it is.

    It has to have counted when it was made, by the log's entries about `people`, and to count now.
    """
    who, line = entry.actor, str(entry.body.get("key", ""))
    person = school.people.get(who)
    key = next((key for key in person.keys if bare(key.line) == bare(line)), None) if person else None
    if key is None:
        return f"it is signed with a key that is not {who}'s in inventory/people.yml"
    moment = parse_utc(entry.time).astimezone(ZoneInfo(school.time_zone))
    if not valid_on(key, moment.date()):
        return f"it is signed with a key of {who} that did not count on {moment.date()}"
    if not was_key_of(people, who, line, entry.seq):
        return f"it is signed with a key that was not known to be {who}'s at that time"
    if signer_of(message, armored, namespace, [(who, key)], moment) != who:
        return f"its signature is not {who}'s"
    return ""


class Provenance:
    """What the log says of who made which version, read once."""

    def __init__(self, settings: Settings, school: School) -> None:
        self._school = school
        entries = scan(settings.log, Query(kinds=(ADDED, PEOPLE_KIND)))
        self._people = [entry for entry in entries if entry.kind == PEOPLE_KIND]
        self._added: dict[str, Entry] = {}
        for entry in entries:
            if entry.kind == ADDED:
                # The first: whoever says so again later did not make it.
                self._added.setdefault(str(entry.body.get("image", "")), entry)

    def why_not(self, one: StoredImage) -> str:
        """Why the version counts as nobody's, in words; empty when all of it holds.

        As with approvals, a key that is taken out of `people.yml` takes all it signed with it, and one that is given a
        last day does not.
        """
        who, entry = one.manifest.by, self._added.get(one.id)
        if entry is None:
            return "the log does not hold that it was added"
        if who not in self._school.people or entry.actor != who:
            return f"it says that {who or 'nobody'} made it, and the log or inventory/people.yml does not"
        return why_unsigned(self._school, self._people, entry, one.data, one.signature, NAMESPACE)

    def require(self, one: StoredImage) -> Entry:
        """The entry that it was added by. Raises `RefusedError` unless all of it holds."""
        why = self.why_not(one)
        if why:
            raise RefusedError(
                f"{one.ref} ({one.id[:12]}) is not used: {why}", next_command=f"lab image show {one.ref}"
            )
        return self._added[one.id]
