"""Comparing hosts with the inventory: who is compared, on record before it begins; and checking a draw afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from lab_tool import signature
from lab_tool.canonical import Json, dump
from lab_tool.clock import parse_utc
from lab_tool.core import draw as drawing
from lab_tool.core.draw import Draw
from lab_tool.core.gate import require_may_plan
from lab_tool.core.identity import bare, identify, local_day
from lab_tool.core.moved import listed
from lab_tool.core.orders import Desk
from lab_tool.core.people_watch import KIND as PEOPLE_KIND
from lab_tool.core.people_watch import was_key_of
from lab_tool.core.plan import Plan
from lab_tool.core.rehearsal import plan_on_record
from lab_tool.errors import UsageError, VerificationError
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, scan
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Person, School
from lab_tool.school.problem import quote
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings

VERB = "drift"
DRAWN = "drift.drawn"
DRAW_NAMESPACE = "lab-drift-draw"


@dataclass(frozen=True, slots=True)
class Sample:
    """How many (`10%`, `3`) and by which seed; `chosen` tells that somebody gave it."""

    size: str
    seed: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking a draw: `faults` shows that it is not what it says; `notes` are for whoever judges it.

    `run` is the run that followed, empty when none did.
    """

    entry: Entry
    draw: Draw
    run: str
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(desk: Desk, rooms: Sequence[str], hosts: Sequence[str], sample: Sample | None) -> tuple[Plan, Draw | None]:
    """A plan on record for these hosts, or for those drawn from them: the draw is in the log before anything runs."""
    if sample is None:
        return plan_on_record(desk.settings, desk.school, VERB, rooms, hosts, (), desk.key, desk.clock), None
    chosen = select_hosts(desk.school, rooms, hosts)
    person = identify(desk.school, desk.key, local_day(desk.school, desk.clock()))
    where = frozenset(host.room for host in chosen)
    # Of all rooms, whichever hosts are drawn.
    require_may_plan(person, VERB, where)
    working = [host.name for host in chosen if not host.out_of_order]
    if not working:
        raise UsageError("there is nobody to draw: all of them are out of order", next_command="lab rooms")
    drawn = drawing.draw(working, sample.size, sample.seed, chosen=sample.chosen)

    def record(plan: Plan, person: Person) -> None:
        document = {**drawn.as_json(), "plan": plan.digest}
        body: dict[str, Json] = {
            "draw": document,
            "signature": signature.sign(dump(document), desk.key, DRAW_NAMESPACE),
            "key": signature.public_line(desk.key),
        }
        subject = Subject("", "", drawn.hosts, tuple(sorted(where)), VERBS[VERB].rules)
        LogStore(desk.settings.log, desk.clock).append(actor=person.id, kind=DRAWN, subject=subject, body=body)

    plan = plan_on_record(desk.settings, desk.school, VERB, (), drawn.hosts, (), desk.key, desk.clock, record)
    return plan, drawn


def check_draw(settings: Settings, school: School, target: str) -> Checked:
    """Check the draw of a run, or of an entry's number, from the log itself. Raises `UsageError` if there is none."""
    entries = scan(settings.log, Query(kinds=(DRAWN, "run.started", PEOPLE_KIND)))
    runs = [entry for entry in entries if entry.kind == "run.started" and _intent(entry).get("verb") == VERB]
    draws = [entry for entry in entries if entry.kind == DRAWN]
    entry = _wanted(draws, runs, target)
    try:
        made = drawing.read_draw(entry.body["draw"])
        found = drawing.faults(entry.body["draw"])
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError(
            f"entry {entry.seq} holds no draw that can be read: {error}", next_command="lab log verify"
        ) from error
    if entry.subject.hosts != made.hosts:
        found.append("the entry is about other hosts than those drawn")
    found += _signature_faults(school, entry, [other for other in entries if other.kind == PEOPLE_KIND])
    followed = _followed(draws, runs)
    run = followed.get(entry.seq)
    if run and tuple(sorted(run.subject.hosts)) != made.hosts:
        found.append(f"{run.subject.run} was on {listed(run.subject.hosts)}, not on those drawn")
    return Checked(
        entry, made, run.subject.run if run else "", tuple(found), tuple(_notes(school, entry, made, draws, followed))
    )


def _wanted(draws: Sequence[Entry], runs: Sequence[Entry], target: str) -> Entry:
    """The draw of that entry number, or the last one before that run with its plan."""
    if target.isascii() and target.isdecimal():
        found = [entry for entry in draws if entry.seq == int(target)]
    else:
        found = [
            entry
            for run in runs
            if run.subject.run == target
            for entry in draws
            if entry.seq < run.seq and _plan_of(entry) == _intent(run).get("plan")
        ]
    if not found:
        raise UsageError(f"there is no draw {quote(target)}", next_command=f"lab log show --kind {DRAWN}")
    return found[-1]


def _followed(draws: Sequence[Entry], runs: Sequence[Entry]) -> dict[int, Entry]:
    """By a draw's number, the first run of the plan that was made for those drawn, before another draw hit on the same
    ones.
    """
    found: dict[int, Entry] = {}
    last: dict[str, int] = {}
    for entry in sorted((*draws, *runs), key=lambda entry: entry.seq):
        if entry.kind == DRAWN:
            last[_plan_of(entry)] = entry.seq
        elif (plan := str(_intent(entry).get("plan", ""))) and plan in last:
            found.setdefault(last[plan], entry)
    return found


def _signature_faults(school: School, entry: Entry, people: Sequence[Entry]) -> list[str]:
    """Whether the actor signed it, with a key that the log held as theirs then."""
    key, armored = str(entry.body.get("key", "")), str(entry.body.get("signature", ""))
    person = school.people.get(entry.actor)
    keys = [(entry.actor, each) for each in person.keys if bare(each.line) == bare(key)] if person else []
    if not keys or not was_key_of(people, entry.actor, key, entry.seq):
        return [f"the key was not one of {entry.actor} when it was drawn"]
    moment = parse_utc(entry.time).astimezone(ZoneInfo(school.time_zone))
    signer = signature.signer_of(dump(entry.body["draw"]), armored, DRAW_NAMESPACE, keys, moment)
    return [] if signer == entry.actor else [f"the signature is not {entry.actor}'s over this draw"]


def _notes(
    school: School, entry: Entry, made: Draw, draws: Sequence[Entry], followed: Collection[int]
) -> Iterator[str]:
    """What an auditor weighs: a seed somebody chose, hosts that could not be drawn, draws that came to nothing."""
    if made.chosen:
        yield "the seed was chosen by whoever drew"
    known = {host.name for room in entry.subject.rooms if room in school.rooms for host in school.rooms[room].hosts}
    beside = sorted(known - set(made.candidates))
    if beside:
        yield f"in these rooms today, and not among the candidates: {listed(beside)}"
    unused = [str(other.seq) for other in draws if other.seq < entry.seq and other.seq not in followed]
    if unused:
        yield f"draws before it that no run followed: entry {listed(unused)}"


def _plan_of(entry: Entry) -> str:
    made = entry.body.get("draw")
    return str(made.get("plan", "")) if isinstance(made, dict) else ""


def _intent(entry: Entry) -> Mapping[str, Any]:
    intent = entry.body.get("intent")
    return intent if isinstance(intent, dict) else {}
