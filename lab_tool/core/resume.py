"""A run that did not end: what the log says of it, and what is left to do."""

from __future__ import annotations

from dataclasses import dataclass

from lab_tool.canonical import Json
from lab_tool.core.locks import is_held
from lab_tool.core.outcome import DONE, Outcome, outcomes, reach
from lab_tool.errors import RefusedError, UsageError
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LOG_ITSELF, LogStore
from lab_tool.rules import VERBS
from lab_tool.settings import Settings


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An earlier run: how it began, what became of each host, and the hosts that are left to do."""

    started: Entry
    outcomes: dict[str, Outcome]
    left: tuple[str, ...]


def unfinished(settings: Settings, store: LogStore, run: str) -> Unfinished:
    """What is left of `run`; records `run.interrupted` first where its end is missing from the log.

    Raises `UsageError` for a run nobody knows or with nothing left, `RefusedError` for one still going on.
    """
    entries = find(settings.log, Query(run=run))
    started = next((entry for entry in entries if entry.kind == "run.started"), None)
    if started is None:
        raise UsageError(f"there is no run {run}", next_command="lab log show --kind run.started")
    if is_held(settings.locks, started.subject.hosts, run):
        raise RefusedError(f"{run} is still going on", next_command=f"lab log show --run {run}")
    verb = VERBS.get(started.body.get("intent", {}).get("verb", ""))
    wanted = verb.evidence if verb else ()
    result = outcomes(started.subject.hosts, started.body.get("excluded", {}), entries, wanted)
    if not any(entry.kind in ("run.finished", "run.interrupted") for entry in entries):
        subject = Subject(started.subject.change, run, started.subject.hosts, started.subject.rooms)
        told: dict[str, Json] = {host: outcome.as_json() for host, outcome in result.items()}
        ended: dict[str, Json] = {"verb": verb.id if verb else "", "check": bool(started.body.get("check"))}
        body: dict[str, Json] = {**ended, **reach(started.subject.hosts, entries, result), "outcomes": told}
        store.append(actor=LOG_ITSELF, kind="run.interrupted", subject=subject, body=body)
    if started.body.get("outside") or started.body["check"]:
        raise UsageError(f"{run} was a check or outside procedure: it can't be resumed", next_command="lab run CHANGE")
    left = tuple(host for host in started.subject.hosts if result[host].outcome not in DONE)
    if not left:
        raise UsageError(f"{run} left nothing to do", next_command=f"lab log show --run {run}")
    return Unfinished(started, result, left)
