"""Callback `lab_recorder`: every playbook is recorded, with `lab` or without; what can't be recorded is not done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

from ansible import context
from ansible.plugins.callback import CallbackBase

from lab_tool.errors import RefusedError
from lab_tool.recording.recorder import Recorder, Task
from lab_tool.recording.session import Session
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_recorder
type: aggregate
short_description: Records every run in the lab's log
description:
  - Writes the intent of every task before it acts, and every change, failure and value read back after it.
  - Started by C(lab run) it records into that run; started by hand it records a run of its own, marked as outside
    procedure.
  - Ansible goes on when a callback raises. This one ends the process instead (C(SystemExit) passes through Ansible's
    handling of callback errors), before the next task acts.
"""


# What delegate_to may name: the control node, which is where this runs.
ON_CONTROL_NODE = ("localhost", "127.0.0.1", "::1")


def or_stop(method: Callable[..., None]) -> Callable[..., None]:
    """Let no run go on whose recording failed, for whatever reason."""

    @wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            stop(error)

    return guarded


def stop(error: Exception) -> NoReturn:
    """End the process; Ansible ends its workers on the way out."""
    why = "" if isinstance(error, RefusedError) else "it can't be recorded: "
    sys.stderr.write(f"lab_recorder: stopped before the next change: {why}{error}\n")
    sys.stderr.flush()
    raise SystemExit(1) from error


class CallbackModule(CallbackBase):
    """Hands plain values to `Recorder`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "lab_recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # Nothing that can fail: Ansible goes on without a callback whose constructor raises.
        self._session: Session | None = None
        self._recorder: Recorder | None = None
        self._playbook = ""
        self._task: Task | None = None

    @or_stop
    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Open the log; no task has run."""
        self._playbook = str(playbook._file_name or "")
        self._session = Session.open(Settings.from_environment(os.environ), os.environ)

    @or_stop
    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Check the hosts of the play against what was approved, and say hello before the first task."""
        if self._session is None:
            raise RuntimeError("Ansible started a play before the playbook")
        if str(play.strategy) != "linear":
            raise RefusedError(f"strategy {play.strategy}: only linear says before a task that it begins")
        inventory = play.get_variable_manager()._inventory
        hosts = {host.get_name(): _room(host) for host in inventory.get_hosts(play.hosts)}
        self._recorder = self._session.enter_play(
            hosts,
            playbook=_relative(self._playbook),
            limit=_limit(),
            check=bool(context.CLIARGS.get("check")),
        )

    @or_stop
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """The intent of a task, durable before any host acts."""
        self._begin(task)

    @or_stop
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler is a task."""
        self._begin(task)

    @or_stop
    def v2_runner_on_ok(self, result: Any) -> None:
        """A change or a value read back is an entry."""
        fields = dict(result.result)
        self._live().ok(result.host.get_name(), self._current(result), {**fields, "changed": result.is_changed()})

    @or_stop
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A failure is an entry, also one that the play ignores."""
        fields = {**result.result, "changed": result.is_changed()}
        self._live().failed(result.host.get_name(), self._current(result), fields, ignored=bool(ignore_errors))

    @or_stop
    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host that can't be reached is an entry."""
        self._live().unreachable(result.host.get_name(), self._current(result), dict(result.result))

    @or_stop
    def v2_runner_on_skipped(self, result: Any) -> None:
        """Counted with its task."""
        self._live().skipped(result.host.get_name())

    @or_stop
    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end; `lab` reconciles its own runs afterwards, a run by hand is closed here."""
        if self._session is not None and self._recorder is not None:
            self._recorder.goodbye()
            self._session.close()

    def _begin(self, task: Any) -> None:
        if str(task.delegate_to or "localhost") not in ON_CONTROL_NODE:
            raise RefusedError(f"{_place(task)}: delegate_to acts on a host that no entry names")
        self._task = _task(task)
        self._live().task_started(self._task)

    def _live(self) -> Recorder:
        if self._recorder is None:
            raise RuntimeError("Ansible started a task before the play")
        return self._recorder

    def _current(self, result: Any) -> Task:
        """The task of a result: the one that started last, but for results of a strategy that overlaps tasks."""
        place = _place(result.task)
        return self._task if self._task is not None and self._task.place == place else _task(result.task)


def _task(task: Any) -> Task:
    """The name as written, not as templated: a templated one can hold a secret."""
    written = task.get_ds()
    name = str(written.get("name") or task.action) if isinstance(written, dict) else str(task.action)
    return Task(name, _place(task), str(task.action), tuple(str(tag) for tag in task.tags))


def _place(task: Any) -> str:
    return _relative(str(task.get_path() or ""))


def _limit() -> str:
    """What names the hosts on the command line: `--limit`, or the pattern of a one-off command."""
    pattern = context.CLIARGS.get("args") if "module_name" in context.CLIARGS else ""
    return str(context.CLIARGS.get("subset") or pattern or "")


def _relative(path: str) -> str:
    """The path inside the project, or as it is."""
    project = str(Settings.from_environment({}).project) + os.sep
    return path.removeprefix(project)


def _room(host: Any) -> str:
    """The room of a host, from its group `room_<id>`; empty outside the inventory of rooms."""
    names = (str(group.get_name()) for group in host.get_groups())
    return next((name.removeprefix("room_") for name in names if name.startswith("room_")), "")
