"""What became of each host of a run, from the run's entries alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lab_tool.canonical import Json
from lab_tool.log.entry import Entry

OutcomeName = Literal["changed", "ok", "failed", "unreachable", "deferred", "missing"]
OUTCOMES: tuple[OutcomeName, ...] = ("changed", "ok", "deferred", "failed", "unreachable", "missing")
# The outcomes that leave nothing to do.
DONE = frozenset({"changed", "ok"})
BAD = frozenset({"failed", "unreachable", "missing"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one outcome of one host, why, which tasks changed it, and the values read back from it."""

    outcome: OutcomeName
    reason: str = ""
    changed: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """For an entry or `--json`; the values read back stand in their own entry."""
        return {"outcome": self.outcome, "reason": self.reason, "changed": list(self.changed)}


# These run on the control node: their results say nothing about whether a host was reached.
_ON_CONTROL_NODE = ("assert", "debug", "fail", "include_role", "include_tasks", "include_vars", "set_fact")
CONTROL_NODE = frozenset({"lab_recorded", *(p + name for p in ("", "ansible.builtin.") for name in _ON_CONTROL_NODE)})


@dataclass(slots=True)
class _Trace:
    """What the entries say about one host so far."""

    reached: bool = False
    changed: list[str] = field(default_factory=list)
    failure: str = ""
    unreachable: str = ""
    evidence: Mapping[str, Any] | None = None
    evidence_at: int = -1


def outcomes(expected: Sequence[str], excluded: Mapping[str, str], entries: Iterable[Entry]) -> dict[str, Outcome]:
    """Exactly one outcome for every expected and every excluded host (name -> reason), in the order given."""
    traces = {host: _Trace() for host in expected}
    told = list(entries)
    for at, entry in enumerate(told):
        _follow(traces, entry, at)
    cut = _cut_off(told)
    judged = {host: _judge(trace, cut, told[cut].body["task"] if cut >= 0 else "") for host, trace in traces.items()}
    return judged | {host: Outcome("deferred", reason) for host, reason in excluded.items()}


def reach(expected: Sequence[str], entries: Sequence[Entry], result: Mapping[str, Outcome]) -> dict[str, Json]:
    """For a run cut off: who was reached, who wasn't, and on whom the task without an end may have acted."""
    cut = _cut_off(entries)
    answered = {host for entry in entries[cut:] for host in entry.subject.hosts} if cut >= 0 else set(expected)
    acting = cut >= 0 and entries[cut].body["action"] not in CONTROL_NODE
    in_doubt = [host for host in expected if acting and host not in answered and result[host].outcome != "unreachable"]
    reached = [host for host in expected if result[host].outcome not in ("missing", "unreachable")]
    return {
        "reached": reached,
        "in_doubt": in_doubt,
        "not_reached": [host for host in expected if host not in reached and host not in in_doubt],
        "task": str(entries[cut].body["task"]) if cut >= 0 else "",
    }


def _cut_off(entries: Sequence[Entry]) -> int:
    """Where the task stands that began and has no end; -1 when each has one."""
    for at in range(len(entries) - 1, -1, -1):
        if entries[at].kind == "task.finished":
            return -1
        if entries[at].kind == "task.started":
            return at
    return -1


def _follow(traces: Mapping[str, _Trace], entry: Entry, at: int) -> None:
    if entry.kind == "task.finished":
        # Results that changed nothing have no entry of their own, but show that the host was reached.
        if entry.body["action"] not in CONTROL_NODE:
            for state, hosts in entry.body["results"].items():
                for host in hosts:
                    if state not in ("unreachable", "skipped") and host in traces:
                        traces[host].reached = True
        return
    for host in entry.subject.hosts:
        trace = traces.get(host)
        if trace is None:
            continue
        task = str(entry.body.get("task", ""))
        if entry.kind == "task.changed":
            trace.reached = True
            trace.changed.append(task)
        elif entry.kind == "task.failed":
            trace.reached = trace.reached or entry.body["action"] not in CONTROL_NODE
            if entry.body["changed"]:
                trace.changed.append(task)
            if not entry.body["ignored"]:
                message = str(entry.body["result"].get("msg", ""))
                trace.failure = f"{task} ({entry.body['place']})" + (f": {message}" if message else "")
        elif entry.kind == "task.unreachable":
            trace.unreachable = str(entry.body["reason"]) or task
        elif entry.kind == "evidence.read":
            # Read after whatever failed before it, so that failure was rescued.
            trace.reached, trace.failure, trace.unreachable = True, "", ""
            trace.evidence, trace.evidence_at = entry.body["evidence"], at


def _judge(trace: _Trace, cut: int, cut_task: str) -> Outcome:
    """`cut` is where a task stands that has no end (-1: none): what was read back before it proves nothing any more."""
    changed = tuple(trace.changed)
    evidence = trace.evidence or {}
    values = evidence.get("values", {})
    verdict, reason = evidence.get("outcome"), str(evidence.get("reason", ""))
    if trace.unreachable:
        return Outcome("unreachable", trace.unreachable, changed, values)
    if verdict == "failed":
        return Outcome("failed", reason, changed, values)
    if trace.failure:
        return Outcome("failed", trace.failure, changed, values)
    if trace.evidence is None:
        if trace.reached:
            return Outcome("failed", "the outcome was not read back", changed)
        return Outcome("missing", "no result came from it")
    if cut > trace.evidence_at:
        return Outcome("failed", f"cut off in: {cut_task}", changed, values)
    if verdict == "ok":
        return Outcome("changed" if changed else "ok", reason, changed, values)
    if verdict == "deferred":
        return Outcome("deferred", reason, changed, values)
    return Outcome("failed", f"evidence with an unknown outcome: {verdict}", changed, values)
