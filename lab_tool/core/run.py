"""One run: locks, the record that it begins, the playbook, the reckoning, the record of its end, a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from lab_tool import signature
from lab_tool.canonical import Json, dump
from lab_tool.clock import parse_utc, utc_text
from lab_tool.core.change import request_emergency
from lab_tool.core.change_state import get_change
from lab_tool.core.gate import require_runnable
from lab_tool.core.interruption import Interruption, interruptible
from lab_tool.core.locks import host_locks
from lab_tool.core.order import Order
from lab_tool.core.playbook import PlayEnd, Progress, play
from lab_tool.core.reckoning import RunResult, reckon
from lab_tool.core.run_id import new_run_id
from lab_tool.core.versions import versions
from lab_tool.errors import LabError, LogWriteError
from lab_tool.log.checkpoint import Published, publish
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import School
from lab_tool.settings import Settings

RUN_NAMESPACE = "lab-run"
Clock = Callable[[], datetime]


# The exit code of an Ansible that was never started.
NOT_STARTED = -1


def execute(settings: Settings, school: School, order: Order, progress: Progress, clock: Clock) -> RunResult:
    """Run `order` to its end, or to an interruption; every expected host has exactly one outcome afterwards.

    Raises `RefusedError` when a host is in use, `LogWriteError` when its beginning or its end can't be recorded.
    """
    run = new_run_id(clock())
    store = LogStore(settings.log, clock)
    since = utc_text(clock())
    names = tuple(host.name for host in order.hosts)
    (settings.runs / run).mkdir(parents=True, mode=0o700)
    with (
        host_locks(settings.locks, names, run=run, actor=order.actor.id, since=since) as locks,
        interruptible() as stop,
    ):
        order = _with_right(settings, school, order, clock)
        subject = _subject(run, order)
        store.append(actor=order.actor.id, kind="run.started", subject=subject, body=_beginning(settings, run, order))
        end = _play(settings, run, order, locks, progress, stop)
        result = reckon(settings, school, run, order, end, interrupted=stop.asked)
        store.append(actor=order.actor.id, kind="run.finished", subject=subject, body=_end(order, result, end))
    return replace(result, published=_publish(settings, school, clock))


def _end(order: Order, result: RunResult, end: PlayEnd) -> dict[str, Json]:
    """The body of `run.finished`."""
    return {"verb": order.plan.verb, **result.as_body(end.code)}


def _play(
    settings: Settings, run: str, order: Order, locks: Sequence[int], progress: Progress, stop: Interruption
) -> PlayEnd:
    """Run the playbook; what can't even be started ends as a run in which nothing was reached."""
    if stop.asked:
        return PlayEnd(NOT_STARTED, "")
    try:
        return play(
            settings,
            run,
            settings.project / VERBS[order.plan.verb].playbook,
            hosts=tuple(host.name for host in order.hosts),
            overrides={**order.plan.overrides, **_window_end(order)},
            check=order.check,
            locks=locks,
            progress=progress,
            interruption=stop,
        )
    except OSError as error:
        return PlayEnd(NOT_STARTED, f"{error.filename}: {error.strerror}")


def _with_right(settings: Settings, school: School, order: Order, clock: Clock) -> Order:
    """The order with the right to it, asked for with the hosts locked.

    The gate is asked again: another run of the same change may have ended a moment ago. An emergency is requested here,
    so that none stands as overdue that never ran.
    """
    if order.emergency:
        state = request_emergency(settings, school, order.plan, order.emergency, order.key, clock)
        return replace(order, change=state.id)
    if order.approval is not None:
        state = get_change(settings, order.change)
        require_runnable(settings, school, state, order.plan, clock(), resumes=order.resumes)
    return order


def _publish(settings: Settings, school: School, clock: Clock) -> Published | LabError:
    """A checkpoint, or why there is none: what the run did is told first, whatever became of it."""
    try:
        return publish(settings, school.log, clock)
    except LabError as error:
        return error
    except OSError as error:
        return LogWriteError(f"no checkpoint: {error.strerror}", where=str(error.filename or settings.log))
    except KeyboardInterrupt:
        return LabError("no checkpoint: interrupted", next_command="lab log checkpoint")


def _window_end(order: Order) -> dict[str, Json]:
    """The end of the window, for the role that heeds it: nothing like a reboot begins after it."""
    closes = str(order.approval["window_closes"]) if order.approval else ""
    until = VERBS[order.plan.verb].until
    return {until: f"{parse_utc(closes):%Y-%m-%dT%H:%M:%SZ}"} if closes and until else {}


def _beginning(settings: Settings, run: str, order: Order) -> dict[str, Json]:
    """The body of `run.started`: the signed intent, the right to it, and with what it is run."""
    intent: dict[str, Json] = {
        "v": 1,
        "type": "run",
        "run": run,
        "verb": order.plan.verb,
        "plan": order.plan.digest,
        "hosts": [host.name for host in order.hosts],
        "check": order.check,
        "change": order.change,
        "emergency": order.emergency,
        "resumes": order.resumes,
    }
    return {
        "intent": intent,
        "signature": signature.sign(dump(intent), order.key, RUN_NAMESPACE),
        "key": signature.public_line(order.key),
        "approval": order.approval,
        "check": order.check,
        "emergency": bool(order.emergency),
        "excluded": dict(order.plan.excluded),
        "room_of": {host.name: host.room for host in order.hosts},
        "versions": versions(settings.project),
    }


def _subject(run: str, order: Order) -> Subject:
    hosts = tuple(host.name for host in order.hosts)
    rooms = tuple(sorted({host.room for host in order.hosts}))
    return Subject(change=order.change, run=run, hosts=hosts, rooms=rooms, rules=VERBS[order.plan.verb].rules)
