"""Changes as the log tells of them: nothing else is asked what became of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lab_tool.canonical import Json
from lab_tool.clock import parse_utc
from lab_tool.core.document import ID, Change, Standing, check_id, read_change
from lab_tool.core.people_watch import KIND as PEOPLE_KIND
from lab_tool.core.people_watch import was_key_of
from lab_tool.core.plain_text import require_plain, shown
from lab_tool.core.plan import Plan, read_plan
from lab_tool.errors import LabError, UsageError, VerificationError
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, scan
from lab_tool.rules import VERBS
from lab_tool.school.model import RISKS, Risk
from lab_tool.settings import Settings

Status = Literal["overdue", "requested", "approved", "running", "rejected", "expired", "done"]
# In the order in which somebody has to do something about them.
STATUSES: tuple[Status, ...] = ("overdue", "requested", "approved", "running", "rejected", "expired", "done")
KINDS = ("change.*", "run.started", "run.finished", "run.interrupted", PEOPLE_KIND)


@dataclass(frozen=True, slots=True)
class Decision:
    """A request, an approval or a rejection: who, in which entry, with which signature and key (type and base64).

    `known` tells whether the log held that key as theirs when the entry was written.
    """

    person: str
    entry: Entry
    signature: str
    key: str
    why: str
    known: bool

    @property
    def time(self) -> datetime:
        """When it was recorded, in UTC."""
        return parse_utc(self.entry.time)


@dataclass(frozen=True, slots=True)
class ChangeState:
    """A change and what became of it. `runs` are real runs (not checks) in the order of the log, `open_runs` those
    without an end.
    """

    id: str
    change: Change
    plan: Plan
    request: Decision
    approvals: tuple[Decision, ...]
    rejections: tuple[Decision, ...]
    runs: tuple[str, ...]
    open_runs: tuple[str, ...]

    @property
    def verb(self) -> str:
        """What is to be done."""
        return self.change.verb

    @property
    def rooms(self) -> tuple[str, ...]:
        """Where."""
        return self.change.rooms

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host asked for, those out of order among them: what `make_plan` needs to make the plan again."""
        return self.change.hosts

    @property
    def overrides(self) -> Mapping[str, Json]:
        """Values from `--set`."""
        return self.change.overrides

    @property
    def standing(self) -> Standing | None:
        """The prepared procedure, if it is one."""
        return self.change.standing

    @property
    def emergency(self) -> bool:
        """Whether it was run first, to be approved afterwards."""
        return self.change.emergency

    @property
    def risk(self) -> Risk:
        """What was said, but no less than the verb has."""
        return max(self.change.risk, VERBS[self.change.verb].risk, key=RISKS.index)

    def status(self, now: datetime) -> Status:
        """What became of it up to `now`, by the entries alone; whether an approval holds is for the gate to say."""
        if self.rejections:
            return "rejected"
        if self.emergency:
            return "done" if self.approvals else "overdue"
        if self.runs and not self.standing:
            return "running" if self.open_runs else "done"
        if self.change.expires is None or now >= self.change.expires:
            return "expired"
        return "approved" if self.approvals else "requested"


def get_change(settings: Settings, change: str) -> ChangeState:
    """The change of that id; raises `UsageError` if there is none, `VerificationError` if its entries are not whole."""
    by_id, people = _read(settings)
    entries = by_id.get(check_id(change), [])
    if not any(entry.kind == "change.requested" for entry in entries):
        raise UsageError(f"there is no change {change}", next_command="lab change list")
    return _state(change, entries, people)


def all_changes(settings: Settings) -> tuple[list[ChangeState], dict[str, LabError]]:
    """All changes in the order they were requested, and, by id, those whose entries are not whole."""
    by_id, people = _read(settings)
    states: list[ChangeState] = []
    damaged: dict[str, LabError] = {}
    for change, entries in by_id.items():
        if not ID.fullmatch(change):
            damaged[ascii(change)] = _damaged(ascii(change), "this is no name of a change", entries[:1])
            continue
        try:
            states.append(_state(change, entries, people))
        except LabError as error:
            damaged[change] = error
    return states, damaged


def _read(settings: Settings) -> tuple[dict[str, list[Entry]], list[Entry]]:
    """Entries by change, and those about people; from the log itself, since an index could be made to hide some."""
    by_id: dict[str, list[Entry]] = {}
    people = []
    for entry in scan(settings.log, Query(kinds=KINDS)):
        if entry.kind == PEOPLE_KIND:
            people.append(entry)
        elif entry.subject.change:
            by_id.setdefault(entry.subject.change, []).append(entry)
    return by_id, people


def _state(change: str, entries: Sequence[Entry], people: Sequence[Entry]) -> ChangeState:
    requests = [entry for entry in entries if entry.kind == "change.requested"]
    if len(requests) != 1:
        raise _damaged(change, f"{len(requests)} requests have this id", requests)
    document, plan, request = _request(change, requests[0], people)
    later = [entry for entry in entries if entry.seq > request.entry.seq]
    started = [entry for entry in later if entry.kind == "run.started" and entry.body.get("check") is not True]
    ended = {entry.subject.run for entry in later if entry.kind in ("run.finished", "run.interrupted")}
    runs = tuple(shown(entry.subject.run) for entry in started)
    return ChangeState(
        id=change,
        change=document,
        plan=plan,
        request=request,
        approvals=tuple(_decisions(later, "change.approved", "approver", people)),
        rejections=tuple(_decisions(later, "change.rejected", "person", people)),
        runs=runs,
        open_runs=tuple(run for run in runs if run not in ended),
    )


def _request(change: str, entry: Entry, people: Sequence[Entry]) -> tuple[Change, Plan, Decision]:
    """The document and the plan of a request, which must be what the id and the digest stand for."""
    body = entry.body
    try:
        # Written by whoever wrote the entry, and shown to whoever signs.
        require_plain([body["change"], body["plan"]])
        document = read_change(body["change"])
        plan = read_plan(body["plan"], document.plan)
        known = was_key_of(people, document.requester, str(body["key"]), entry.seq)
        request = Decision(document.requester, entry, str(body["signature"]), str(body["key"]), document.why, known)
    except (KeyError, TypeError, ValueError, VerificationError) as error:
        raise _damaged(change, f"its document can't be trusted ({error})", [entry]) from error
    if document.id != change or entry.actor != document.requester or body.get("requester") != document.requester:
        raise _damaged(change, "its document is another's", [entry])
    same = (
        plan.verb == document.verb
        and plan.asked == document.hosts
        and plan.rooms == document.rooms
        and dict(plan.overrides) == dict(document.overrides)
        and document.verb in VERBS
    )
    if not same:
        raise _damaged(change, "its plan is not for what its document asks", [entry])
    return document, plan, request


def _decisions(entries: Iterable[Entry], kind: str, who: str, people: Sequence[Entry]) -> Iterable[Decision]:
    for entry in entries:
        if entry.kind == kind:
            signature, key, why = (str(entry.body.get(field, "")) for field in ("signature", "key", "why"))
            # Whoever wrote the entry is whoever decided; anything else is nobody's decision.
            person = shown(entry.actor) if entry.body.get(who) == entry.actor else ""
            yield Decision(person, entry, signature, key, shown(why), was_key_of(people, person, key, entry.seq))


def _damaged(change: str, what: str, entries: Sequence[Entry]) -> VerificationError:
    numbers = ", ".join(str(entry.seq) for entry in entries)
    return VerificationError(f"{change}: {what} (entry {numbers})", next_command="lab log verify")
