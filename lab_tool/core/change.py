"""Requesting changes: what is asked for, bound to a plan and signed by whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from lab_tool.canonical import Json
from lab_tool.core.change_state import ChangeState, get_change
from lab_tool.core.document import REQUEST_NAMESPACE, Change, Standing
from lab_tool.core.gate import (
    LONGEST_STANDING,
    LONGEST_WAIT,
    require_acts,
    require_grant,
    require_person,
    rooms_concerned,
)
from lab_tool.core.identity import identify, local_day
from lab_tool.core.overrides import parse_overrides
from lab_tool.core.people_watch import record_people
from lab_tool.core.plain_text import reason
from lab_tool.core.plan import Plan, keep_plan, make_plan
from lab_tool.core.proof import find_signer
from lab_tool.core.window import Span, parse_weekly, parse_window
from lab_tool.errors import UsageError
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import RISKS, Person, Risk, School
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings
from lab_tool.signature import public_line, sign

Clock = Callable[[], datetime]
# Days a change waits to be run when nobody says otherwise.
USUAL_WAIT = 14


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed for a request; what is empty (`expires` in days: None) was not."""

    verb: str
    rooms: tuple[str, ...]
    hosts: tuple[str, ...]
    why: str
    window: str = ""
    standing: str = ""
    last_day: date | None = None
    expires: int | None = None
    risk: Risk | None = None
    overrides: tuple[str, ...] = ()


def request(settings: Settings, school: School, wish: Wish, key: Path, clock: Clock) -> ChangeState:
    """Request a change, signed with `key`.

    Raises `UsageError` for what makes no sense, `RefusedError` for those not entitled.
    """
    verb = VERBS.get(wish.verb)
    if verb is None:
        raise UsageError(f"there is no verb {wish.verb!r}; there are {', '.join(VERBS)}")
    require_acts(verb.id)
    now = clock()
    person = identify(school, key, local_day(school, now))
    require_person(person)
    hosts = select_hosts(school, wish.rooms, wish.hosts)
    risk = wish.risk or verb.risk
    if RISKS.index(risk) < RISKS.index(verb.risk):
        raise UsageError(f"{verb.id} has at least {verb.risk} risk; --risk only raises it")
    overrides = parse_overrides(settings.project, verb, wish.overrides)
    where = rooms_concerned(school, verb.id, (host.room for host in hosts), overrides)
    require_grant(person, ("request",), verb.id, where, risk)
    window, standing = _window(school, wish, now), _standing(school, wish, now)
    why = reason(wish.why, "--why")
    plan = make_plan(settings, school, verb.id, tuple(host.name for host in hosts), overrides)
    change = replace(
        _change(school, plan, why, person, now),
        risk=risk,
        expires=_expires(wish, now, window, standing),
        window=window,
        standing=standing,
    )
    return _record_request(settings, school, change, plan, key, clock)


def request_emergency(settings: Settings, school: School, plan: Plan, why: str, key: Path, clock: Clock) -> ChangeState:
    """Request what is run at once and approved afterwards; it stands as overdue until then.

    Raises `RefusedError` for those not entitled to emergencies.
    """
    now = clock()
    person = identify(school, key, local_day(school, now))
    require_person(person)
    require_grant(person, ("emergency",), plan.verb, frozenset(plan.rooms))
    change = replace(_change(school, plan, reason(why, "--emergency"), person, now), emergency=True)
    return _record_request(settings, school, change, plan, key, clock)


def _record_request(
    settings: Settings, school: School, change: Change, plan: Plan, key: Path, clock: Clock
) -> ChangeState:
    person = school.people[change.requester]
    signature = sign(change.signed, key, REQUEST_NAMESPACE)
    find_signer(school, change.signed, signature, REQUEST_NAMESPACE, [person], clock())
    record_people(settings, school, clock)
    keep_plan(settings, plan)
    body: dict[str, Json] = {
        "requester": change.requester,
        "change": change.as_json(),
        "plan": plan.as_json(),
        "signature": signature,
        "key": public_line(key),
    }
    subject = Subject(change.id, "", change.hosts, change.rooms, VERBS[change.verb].rules)
    LogStore(settings.log, clock).append(actor=person.id, kind="change.requested", subject=subject, body=body)
    return get_change(settings, change.id)


def _change(school: School, plan: Plan, why: str, person: Person, now: datetime) -> Change:
    return Change(
        origin=school.log.origin,
        verb=plan.verb,
        rooms=plan.rooms,
        hosts=plan.asked,
        plan=plan.digest,
        why=why,
        risk=VERBS[plan.verb].risk,
        requester=person.id,
        requested=now,
        expires=None,
        window=None,
        standing=None,
        emergency=False,
        overrides=plan.overrides,
    )


def _window(school: School, wish: Wish, now: datetime) -> Span | None:
    if not wish.window:
        return None
    if wish.standing:
        raise UsageError("--window is for one run, --standing for many: give one of them")
    window = parse_window(wish.window, ZoneInfo(school.time_zone))
    if window.closes <= now:
        raise UsageError(f"the window {wish.window} is over")
    return window


def _standing(school: School, wish: Wish, now: datetime) -> Standing | None:
    if not wish.standing:
        if wish.last_day:
            raise UsageError("--last-day goes with --standing")
        return None
    if wish.last_day is None:
        raise UsageError("--standing needs --last-day: a prepared procedure is looked at anew, once a year at least")
    if wish.overrides:
        raise UsageError("--set is for one run: put the value into inventory/group_vars for a prepared procedure")
    if wish.expires is not None:
        raise UsageError("--expires is for one run: a prepared procedure ends with --last-day")
    standing = Standing(parse_weekly(wish.standing), ZoneInfo(school.time_zone), wish.last_day)
    if not now < standing.ends <= now + timedelta(days=LONGEST_STANDING):
        raise UsageError(f"--last-day lies between today and {LONGEST_STANDING - 1} days from now")
    return standing


def _expires(wish: Wish, now: datetime, window: Span | None, standing: Standing | None) -> datetime:
    if standing:
        return standing.ends
    days = wish.expires
    if days is not None and not 1 <= days <= LONGEST_WAIT:
        raise UsageError(f"--expires takes 1 to {LONGEST_WAIT} days")
    usual = now + timedelta(days=days or USUAL_WAIT)
    if window is None:
        return usual
    if window.opens >= now + timedelta(days=LONGEST_WAIT):
        raise UsageError(f"the window opens in more than {LONGEST_WAIT} days")
    if usual <= window.opens and days is not None:
        raise UsageError(f"the window opens only after the change expires ({days} days)")
    return usual if days is not None else min(window.closes, now + timedelta(days=LONGEST_WAIT))
