"""The recorder: turns what a playbook does into entries, and stops it when an entry can't be written.

It knows nothing of Ansible's classes; `lab_tool/plugins/callback/lab_recorder.py` hands it plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab_tool.canonical import Json
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.recording import allowed

RULE_ID = re.compile(r"[A-H][0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every entry of a run carries. `rooms` maps each expected host to its room; marks go into every body."""

    run: str
    change: str
    actor: str
    rooms: Mapping[str, str]
    marks: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Task:
    """One task as it stands in the file: its untemplated name, place (`path:line`), action and tags."""

    name: str
    place: str
    action: str
    tags: tuple[str, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules the task's tags name, such as B2."""
        return tuple(sorted({tag for tag in self.tags if RULE_ID.fullmatch(tag)}))

    def fields(self) -> dict[str, Json]:
        """For a body."""
        return {"task": self.name, "place": self.place, "action": self.action}


@dataclass(slots=True)
class Recorder:
    """Writes one run's entries. Every method returns only after its entry is durable, or raises `LogWriteError`."""

    store: LogStore
    facts: RunFacts
    _task: Task | None = None
    _results: dict[str, list[str]] = field(default_factory=dict)

    def hello(self) -> None:
        """Say that recording works, before the first task."""
        self._append("recorder.started", {}, hosts=())

    def goodbye(self) -> None:
        """Say that the playbook came to its end: without it, it was cut off."""
        self.task_finished()
        self._append("recorder.finished", {}, hosts=())

    def task_started(self, task: Task) -> None:
        """The intent, before any host acts on it; closes the task before."""
        self.task_finished()
        self._task = task
        self._append("task.started", task.fields(), hosts=(), rules=task.rules)

    def task_finished(self) -> None:
        """Every host's result of the task that ran last, so that no result goes without a trace."""
        if self._task is None:
            return
        results: dict[str, Json] = {state: sorted(hosts) for state, hosts in sorted(self._results.items())}
        self._append("task.finished", {**self._task.fields(), "results": results}, hosts=(), rules=self._task.rules)
        self._task, self._results = None, {}

    def ok(self, host: str, task: Task, result: Mapping[str, Any]) -> None:
        """A result that is neither failed nor unreachable: an entry of its own when it changed or read back."""
        self._results.setdefault("changed" if result.get("changed") else "ok", []).append(host)
        if result.get("changed"):
            body = {**task.fields(), "result": allowed.result_fields(task.action, result)}
            self._append("task.changed", body, hosts=(host,), rules=task.rules)
        self._evidence(host, task, result)

    def failed(self, host: str, task: Task, result: Mapping[str, Any], *, ignored: bool) -> None:
        """A failure; `ignored` when the play goes on regardless."""
        self._results.setdefault("failed", []).append(host)
        # First, so that what failed in reading back is not taken for rescued by what it read.
        self._evidence(host, task, result)
        kept = allowed.result_fields(task.action, result)
        body = {**task.fields(), "ignored": ignored, "changed": bool(result.get("changed")), "result": kept}
        self._append("task.failed", body, hosts=(host,), rules=task.rules)

    def unreachable(self, host: str, task: Task, result: Mapping[str, Any]) -> None:
        """The connection failed: off, no network, wrong key."""
        self._results.setdefault("unreachable", []).append(host)
        body = {**task.fields(), "reason": allowed.unreachable_reason(result)}
        self._append("task.unreachable", body, hosts=(host,), rules=task.rules)

    def skipped(self, host: str) -> None:
        """The host had nothing to do; counted with its task."""
        self._results.setdefault("skipped", []).append(host)

    def _evidence(self, host: str, task: Task, result: Mapping[str, Any]) -> None:
        evidence = result.get("evidence")
        if evidence is None or not allowed.is_evidence(task.action):
            return
        wrong = allowed.why_no_evidence(task.action, evidence)
        if wrong:
            self._append("evidence.refused", {**task.fields(), "why": wrong}, (host,), task.rules)
        else:
            self._append("evidence.read", {**task.fields(), "evidence": dict(evidence)}, (host,), task.rules)

    def _append(self, kind: str, body: Mapping[str, Json], hosts: tuple[str, ...], rules: tuple[str, ...] = ()) -> None:
        facts = self.facts
        rooms = tuple(sorted({facts.rooms[host] for host in hosts if host in facts.rooms}))
        subject = Subject(change=facts.change, run=facts.run, hosts=hosts, rooms=rooms, rules=rules)
        self.store.append(actor=facts.actor, kind=kind, subject=subject, body={**body, **facts.marks})
