"""The ways to a run: a rehearsal, an approved change, a standing approval, an emergency, the rest of an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lab_tool.core.change_state import get_change
from lab_tool.core.gate import (
    find_standing,
    require_acts,
    require_grant,
    require_may_plan,
    require_runnable,
    rooms_concerned,
)
from lab_tool.core.identity import identify, local_day
from lab_tool.core.order import Order
from lab_tool.core.people_watch import record_people
from lab_tool.core.plan import Plan, make_plan
from lab_tool.core.resume import unfinished
from lab_tool.errors import UsageError
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Host, Person, School
from lab_tool.school.select import select_hosts
from lab_tool.settings import Settings

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed: a change id or a verb, rooms and hosts, an emergency's reason, a run to resume; or empty."""

    target: str
    rooms: tuple[str, ...]
    hosts: tuple[str, ...]
    emergency: str
    resume: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Who asks, and with what: everything the ways to a run have in common."""

    settings: Settings
    school: School
    key: Path
    clock: Clock


def make_order(desk: Desk, wish: Wish) -> Order:
    """The order for what was typed; raises `UsageError` or, where a gate is shut, `RefusedError`."""
    if wish.resume:
        if wish.target or wish.rooms or wish.hosts:
            raise UsageError("--resume takes its hosts from the earlier run", next_command="lab run --resume RUN")
        return _rest(desk, wish.resume)
    if not wish.target:
        raise UsageError("say what to run: a change or a verb", next_command="lab run --help")
    if wish.target not in VERBS:
        if wish.rooms or wish.hosts or wish.emergency:
            raise UsageError("a change names its hosts itself", next_command=f"lab run {wish.target}")
        return _approved(desk, wish.target)
    require_acts(wish.target)
    if wish.emergency:
        return _emergency(desk, wish)
    return _standing(desk, wish.target, select_hosts(desk.school, wish.rooms, wish.hosts))


def rehearsal(desk: Desk, plan: Plan) -> Order:
    """Check mode on the PCs of a plan: no approval, since nothing is changed, but somebody who may request or run."""
    actor = _actor(desk)
    require_may_plan(actor, plan.verb, frozenset(host.room for host in _planned(desk.school, plan)))
    return Order(plan, _planned(desk.school, plan), actor, desk.key, check=True)


def _approved(desk: Desk, change: str, only: tuple[str, ...] = (), resumes: str = "") -> Order:
    """Exactly the hosts of an approved change, or `only` those of them that an earlier run left."""
    actor = _actor(desk)
    state = get_change(desk.settings, change)
    where = rooms_concerned(desk.school, state.verb, state.rooms, state.overrides)
    require_grant(actor, ("run",), state.verb, where, state.risk)
    plan = make_plan(desk.settings, desk.school, state.verb, state.hosts, state.overrides)
    approval = require_runnable(desk.settings, desk.school, state, plan, desk.clock(), resumes=resumes)
    hosts = tuple(host for host in _planned(desk.school, plan) if not only or host.name in only)
    return Order(plan, hosts, actor, desk.key, False, state.id, approval.as_json(), resumes=resumes)


def _standing(desk: Desk, verb: str, hosts: tuple[Host, ...], resumes: str = "") -> Order:
    actor = _actor(desk)
    rooms = frozenset(host.room for host in hosts)
    require_grant(actor, ("run",), verb, rooms)
    plan = make_plan(desk.settings, desk.school, verb, tuple(host.name for host in hosts), {})
    state, approval = find_standing(desk.settings, desk.school, plan, desk.clock())
    require_grant(actor, ("run",), verb, rooms, state.risk)
    order = Order(plan, _planned(desk.school, plan), actor, desk.key, False, state.id, approval.as_json())
    return replace(order, resumes=resumes)


def _emergency(desk: Desk, wish: Wish) -> Order:
    actor = _actor(desk)
    hosts = select_hosts(desk.school, wish.rooms, wish.hosts)
    require_grant(actor, ("emergency",), wish.target, frozenset(host.room for host in hosts))
    plan = make_plan(desk.settings, desk.school, wish.target, tuple(host.name for host in hosts), {})
    return Order(plan, _planned(desk.school, plan), actor, desk.key, False, emergency=wish.emergency)


def _rest(desk: Desk, run: str) -> Order:
    """What `run` left, by the right it had: the same change, the same standing approval, or the same emergency."""
    _actor(desk)
    earlier = unfinished(desk.settings, LogStore(desk.settings.log, desk.clock), run)
    state = get_change(desk.settings, earlier.started.subject.change)
    if state.standing:
        return _standing(desk, state.verb, select_hosts(desk.school, (), earlier.left), run)
    if state.emergency:
        again = " ".join(f"--host {host}" for host in earlier.left)
        command = f'lab run {state.verb} {again} --emergency "..."'
        raise UsageError(f"{run} was an emergency; begin another", next_command=command)
    return _approved(desk, state.id, earlier.left, run)


def _actor(desk: Desk) -> Person:
    """Whose key it is today, once the log knows the people as they are."""
    record_people(desk.settings, desk.school, desk.clock)
    return identify(desk.school, desk.key, local_day(desk.school, desk.clock()))


def _planned(school: School, plan: Plan) -> tuple[Host, ...]:
    """The machines of a plan, those left out of it not among them."""
    return select_hosts(school, (), plan.hosts)
