"""How each machine stands, by the log and the inventory alone: what is overdue, what went wrong, what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from lab_tool.clock import parse_utc
from lab_tool.core.outcome import BAD
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, find, newest
from lab_tool.rules import VERBS
from lab_tool.rules.limits import LIMITS
from lab_tool.school.model import Host, Room, School
from lab_tool.settings import Settings

Level = Literal["ok", "yellow", "red", "out_of_order"]
LEVELS: tuple[Level, ...] = ("ok", "yellow", "red")
CauseName = Literal["ended", "never", "late", "control", "undone", "quarantine", "found", "shown"]
# The outcomes of evidence that tells what a machine is like; what was put off tells nothing.
TELLING = ("ok", "failed")
PASSWORD, SHOWN = "admin_password", "password.shown"
SCAN, RESTORE, DRIFT = "virus_scan", "virus_scan_restore", "drift"
LOCKDOWN, UNDONE = "lockdown", "lockdown_undo"
IMAGE = "image"
# What is known of a machine by these stays true when its disk is replaced: it lies elsewhere.
ELSEWHERE = frozenset({IMAGE, "backup", "backup_test"})


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a seat is not well: what about which verb, and as far as it fits, how many days, how many, in which words."""

    what: CauseName
    level: Level
    verb: str
    days: int = 0
    count: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """A machine. `ages` are whole days since the last good result by verb (None: never, no key: not asked for);
    `causes` the worst first; `findings` of the last drift check, `quarantine` of the last scan as they were read back.
    """

    host: Host
    level: Level
    causes: tuple[Cause, ...]
    ages: Mapping[str, int | None]
    findings: tuple[Mapping[str, Any], ...]
    quarantine: tuple[Mapping[str, Any], ...]
    waivers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """The last entries about one machine: by verb, good evidence, telling evidence, and the end of a run.

    Only what came after it was imaged, if it was: `lost` are the verbs whose results went with the old disk.
    """

    good: Mapping[str, Entry]
    told: Mapping[str, Entry]
    ends: Mapping[str, Entry]
    shown: Entry | None
    lost: frozenset[str]


def statuses(settings: Settings, school: School, rooms: Sequence[Room], now: datetime) -> dict[str, tuple[Seat, ...]]:
    """The seats of each room, in seat order."""
    hosts = [host for room in rooms for host in room.hosts]
    known = _known(settings, hosts, rooms[0].id if len(rooms) == 1 else "")
    return {room.id: tuple(_seat(school, host, known[host.name], now) for host in room.hosts) for room in rooms}


def days_allowed(school: School, host: Host) -> dict[str, int]:
    """The limits that hold for a machine, in days by verb."""
    limits = {
        verb: school.limits.get(verb, limit.days)
        for verb, limit in LIMITS.items()
        if not limit.profiles or host.profile in limit.profiles
    }
    return {verb: days for verb, days in limits.items() if days}


def _known(settings: Settings, hosts: Sequence[Host], room: str) -> dict[str, _Known]:
    """Everything the log knows of the machines that matters here: some thirty look-ups a machine, whatever its size."""
    places = {verb: "rehearsed_" if VERBS[verb].reads else "" for verb in VERBS}
    terms = [
        term
        for host in hosts
        for verb, place in places.items()
        for term in (
            (f"{place}end", f"{verb} {host.name}"),
            *((f"{place}evidence", f"{verb} {outcome} {host.name}") for outcome in TELLING),
        )
    ]
    last = newest(settings.log, terms)
    shown = {
        name: entry for entry in find(settings.log, Query(kinds=(SHOWN,), room=room)) for name in entry.subject.hosts
    }

    def known(host: str) -> _Known:
        evidence = {
            (verb, outcome): entry
            for verb, place in places.items()
            for outcome in TELLING
            if (entry := last.get((f"{place}evidence", f"{verb} {outcome} {host}")))
        }
        ends = {verb: last.get((f"{place}end", f"{verb} {host}")) for verb, place in places.items()}
        imaged = evidence.get((IMAGE, "ok"))
        before = {verb for (verb, _), entry in evidence.items() if _went(verb, entry, imaged)}
        evidence = {key: entry for key, entry in evidence.items() if not _went(key[0], entry, imaged)}
        ends = {verb: None if entry and _went(verb, entry, imaged) else entry for verb, entry in ends.items()}
        told: dict[str, Entry] = {}
        for (verb, _), entry in sorted(evidence.items(), key=lambda item: item[1].seq):
            told[verb] = entry
        return _Known(
            good={verb: entry for (verb, outcome), entry in evidence.items() if outcome == "ok"},
            told=told,
            ends={verb: entry for verb, entry in ends.items() if entry},
            shown=None if host in shown and _went(PASSWORD, shown[host], imaged) else shown.get(host),
            lost=frozenset(before - {verb for verb, _ in evidence}),
        )

    return {host.name: known(host.name) for host in hosts}


def _went(verb: str, entry: Entry, imaged: Entry | None) -> bool:
    """Whether what the entry tells went with the disk that an image took the place of."""
    return imaged is not None and entry.seq < imaged.seq and verb not in ELSEWHERE


def _seat(school: School, host: Host, known: _Known, now: datetime) -> Seat:
    allowed = days_allowed(school, host)
    values = {verb: _mapping(_mapping(entry.body.get("evidence")).get("values")) for verb, entry in known.told.items()}
    findings = _mappings(values.get(DRIFT, {}).get("findings"))
    kept = _quarantine(known, values)
    found = [
        *_ends(host.name, known),
        *_ages(allowed, known, now),
        *_lockdown(known, values),
        *_findings(values.get(DRIFT, {}), findings),
        *([Cause("quarantine", "red", SCAN, count=_number(kept["quarantine_count"]))] if kept else ()),
        *_shown(known),
    ]
    causes = tuple(sorted(found, key=lambda cause: -LEVELS.index(cause.level)))
    level: Level = causes[0].level if causes else "ok"
    ages = {verb: _age(known.good.get(verb), now) for verb in allowed}
    return Seat(
        host=host,
        level="out_of_order" if host.out_of_order else level,
        causes=causes,
        ages={verb: age.days if age is not None else None for verb, age in ages.items()},
        findings=findings,
        quarantine=_mappings(kept.get("quarantine")),
        waivers=tuple(
            {"control": control, **_mapping(waiver)}
            for control, waiver in _mapping(values.get(LOCKDOWN, {}).get("waived")).items()
        ),
    )


def _ends(host: str, known: _Known) -> Iterator[Cause]:
    """Verbs whose last run went wrong here, unless a good result of the same was read back since."""
    for verb, entry in known.ends.items():
        end = _mapping(_mapping(entry.body.get("outcomes")).get(host))
        outcome = str(end.get("outcome", ""))
        since = [known.good[wanted].seq if wanted in known.good else -1 for wanted in VERBS[verb].evidence]
        if outcome in BAD and min(since, default=-1) < entry.seq:
            # A PC that was off is nothing unheard of; if it stays off, its results grow old.
            level: Level = "yellow" if outcome == "unreachable" else "red"
            yield Cause("ended", level, verb, text=outcome)


def _ages(allowed: Mapping[str, int], known: _Known, now: datetime) -> Iterator[Cause]:
    for verb, days in allowed.items():
        age = _age(known.good.get(verb), now)
        if age is None:
            yield Cause("never", "red", verb)
        elif age > timedelta(days=days):
            level: Level = "red" if age > 2 * timedelta(days=days) else "yellow"
            yield Cause("late", level, verb, days=age.days)


def _findings(values: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> Iterator[Cause]:
    """What drift found beside controls."""
    red = _number(values.get("red")) - _controls(findings)
    total = red + _number(values.get("yellow"))
    if total > 0:
        yield Cause("found", "red" if red > 0 else "yellow", DRIFT, count=total)


def _lockdown(known: _Known, values: Mapping[str, Mapping[str, Any]]) -> Iterator[Cause]:
    """Whether controls are not in effect, by whoever looked last: the lock-down itself, its undoing, or drift."""
    told = {verb: known.told[verb].seq for verb in (LOCKDOWN, UNDONE, DRIFT) if verb in known.told}
    last = max(told, key=lambda verb: told[verb], default="")
    if last == UNDONE or (not last and LOCKDOWN in known.lost):
        yield Cause("undone", "red", LOCKDOWN)
        return
    wrong = len(_mapping(values[last].get("wrong"))) if last == LOCKDOWN else 0
    if last == DRIFT:
        wrong = _controls(_mappings(values[last].get("findings")))
    if wrong:
        yield Cause("control", "red", LOCKDOWN, count=wrong)


def _controls(findings: Sequence[Mapping[str, Any]]) -> int:
    return sum(finding.get("kind") == "control" for finding in findings)


def _quarantine(known: _Known, values: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the last scan, or the last restoration since, says is in quarantine; empty where nothing is."""
    told = [(known.told[verb].seq, values[verb]) for verb in (SCAN, RESTORE) if verb in known.told]
    last = max((each for each in told if "quarantine_count" in each[1]), default=(0, {}), key=lambda each: each[0])
    return last[1] if _number(last[1].get("quarantine_count")) else {}


def _shown(known: _Known) -> Iterator[Cause]:
    """A password that somebody has read: since it was last read back, or just that one, while a run was going on."""
    if known.shown is None:
        return
    last = known.good.get(PASSWORD)
    values = _mapping(_mapping(last.body.get("evidence")).get("values")) if last else {}
    seen = _mapping(known.shown.body.get("intent")).get("generations")
    same = isinstance(seen, list) and values.get("generation") in seen
    if last is None or known.shown.seq > last.seq or same:
        yield Cause("shown", "yellow", PASSWORD)


def _age(entry: Entry | None, now: datetime) -> timedelta | None:
    """How long ago; never negative, since a clock may have been set back."""
    return max(now - parse_utc(entry.time), timedelta()) if entry else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(each for each in value if isinstance(each, Mapping)) if isinstance(value, list) else ()


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
