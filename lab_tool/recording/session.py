"""The run a playbook is recorded into: the one that `lab` began, or one of its own, outside procedure."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from lab_tool.clock import utc_now, utc_text
from lab_tool.core.locks import host_locks, is_inherited
from lab_tool.core.outcome import outcomes
from lab_tool.core.run_id import new_run_id
from lab_tool.core.versions import versions
from lab_tool.errors import RefusedError
from lab_tool.log.entry import Entry, Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.recording.live import Live
from lab_tool.recording.recorder import Recorder, RunFacts
from lab_tool.settings import Settings


@dataclass(slots=True)
class Session:
    """One process of `ansible-playbook`. `started` is the run's `run.started` entry, None outside procedure."""

    settings: Settings
    store: LogStore
    run: str
    started: Entry | None
    _recorder: Recorder | None = None
    _check: bool = False
    _rooms: dict[str, str] = field(default_factory=dict)
    _locks: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def open(cls, settings: Settings, environment: Mapping[str, str]) -> Session:
        """Open the log; with `LAB_RUN`, that run must be begun and unfinished, and `LAB_LOCK` a lock handed down by it.

        Raises `RefusedError` otherwise: nobody slips into a run by naming it.
        """
        store = LogStore(settings.log)
        run = environment.get("LAB_RUN", "")
        if not run:
            return cls(settings, store, new_run_id(utc_now()), None)
        entries = find(settings.log, Query(run=run, kinds=("run.started", "run.finished", "run.interrupted")))
        started = next((entry for entry in entries if entry.kind == "run.started"), None)
        lock = environment.get("LAB_LOCK", "")
        host = min(started.subject.hosts) if started else ""
        inherited = lock.isdecimal() and is_inherited(settings.locks, host, int(lock))
        if started is None or len(entries) != 1 or not inherited:
            raise RefusedError(f"LAB_RUN names {run}, which is not a run in progress", next_command="lab run CHANGE")
        return cls(settings, store, run, started)

    def enter_play(self, hosts: Mapping[str, str], *, playbook: str, limit: str, check: bool) -> Recorder:
        """Begin a play on `hosts` (name -> room); raises `RefusedError` when it reaches beyond what was said."""
        if self.started is not None:
            self._stay_inside(hosts, check=check, started=self.started)
        elif not limit:
            raise RefusedError(
                "no hosts were named, and that is not taken for all of them",
                next_command=f"ansible-playbook {playbook} --limit room_ROOM",
            )
        else:
            self._begin_outside(hosts, playbook=playbook, check=check)
        if self._recorder is None:
            self._check = check
            self._recorder = Recorder(self.store, self._facts())
            self._recorder.hello()
            Live.run = self.run
        return self._recorder

    def close(self) -> None:
        """End a run outside procedure with an outcome for every host; `lab` ends its own."""
        if self.started is not None:
            return
        entries = find(self.settings.log, Query(run=self.run))
        result = outcomes(sorted(self._rooms), {}, entries)
        body = {
            "outcomes": {host: outcome.as_json() for host, outcome in result.items()},
            "outside": True,
            "check": self._check,
        }
        self._append("run.finished", body)
        self._locks.close()

    def _stay_inside(self, hosts: Mapping[str, str], *, check: bool, started: Entry) -> None:
        beyond = sorted(set(hosts) - set(started.subject.hosts))
        if beyond:
            raise RefusedError(f"the play reaches hosts that were not approved: {', '.join(beyond[:10])}")
        if check is not started.body["check"]:
            raise RefusedError("the play and the run differ on whether this is a check")

    def _begin_outside(self, hosts: Mapping[str, str], *, playbook: str, check: bool) -> None:
        added = {host: room for host, room in hosts.items() if host not in self._rooms}
        if not added:
            return
        since = utc_text(utc_now())
        actor = self._actor
        self._locks.enter_context(host_locks(self.settings.locks, tuple(added), run=self.run, actor=actor, since=since))
        first = not self._rooms
        self._rooms |= added
        body = {"playbook": playbook, "check": check, "outside": True, "versions": versions(self.settings.project)}
        self._append("run.started" if first else "run.extended", body)

    def _append(self, kind: str, body: Mapping[str, object]) -> None:
        rooms = tuple(sorted({room for room in self._rooms.values() if room}))
        subject = Subject(run=self.run, hosts=tuple(sorted(self._rooms)), rooms=rooms)
        self.store.append(actor=self._actor, kind=kind, subject=subject, body=body)

    @property
    def _actor(self) -> str:
        """Nobody proved who they are, so it is the account of the operating system, marked as such."""
        return f"os:{getpass.getuser()}"

    def _facts(self) -> RunFacts:
        started = self.started
        # Otherwise what a rehearsal would change looks like a change.
        checked = {"check": True} if self._check else {}
        if started is None:
            return RunFacts(self.run, "", self._actor, self._rooms, {"outside": True, **checked})
        marks = checked | ({"emergency": True} if started.body["emergency"] else {})
        return RunFacts(self.run, started.subject.change, started.actor, started.body["room_of"], marks)
