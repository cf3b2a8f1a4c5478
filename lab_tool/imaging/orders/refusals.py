"""What the image server refused or could not do goes into the log: unknown PCs, used tokens, forged orders."""

from __future__ import annotations

import fcntl

from lab_tool.canonical import Json
from lab_tool.imaging.orders.server import ImageServer
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.settings import Settings

KIND = "image.refused"
# An event comes from a server that anybody in the lab may talk to.
MOST_FIELDS, LONGEST_TEXT = 12, 500


def record_refusals(settings: Settings, store: LogStore, server: ImageServer, actor: str, run: str = "") -> int:
    """Record each event of `server` that is not in the log yet; how many there were. Raises `LabError`."""
    settings.locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.locks / "image-events.lock").open("w") as lock:
        # Forty seats of a run ask at the same time; each event is one entry.
        fcntl.flock(lock, fcntl.LOCK_EX)
        last = find(settings.log, Query(kinds=(KIND,), host=server.name, last=1))
        seen = int(last[0].body["event"]["n"]) if last else 0
        new = [event for event in server.events(seen) if isinstance(event.get("n"), int)]
        for event in new:
            body: dict[str, Json] = {"server": server.name, "event": _plain(event)}
            subject = Subject(run=run, hosts=(server.name,), rules=("B11",))
            store.append(actor=actor, kind=KIND, subject=subject, body=body)
    return len(new)


def _plain(event: dict[str, object]) -> dict[str, Json]:
    kept = {name: value for name, value in list(event.items())[:MOST_FIELDS] if isinstance(value, str | int)}
    return {name[:40]: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in kept.items()}
