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
    evidence: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    evidence_at: int = -1


def outcomes(
    expected: Sequence[str], excluded: Mapping[str, str], entries: Iterable[Entry], wanted: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Exactly one outcome for every expected and every excluded host (name -> reason), in the order given.

    `wanted` are the verbs whose evidence each host has to give (none: any evidence does).
    """
    traces = {host: _Trace() for host in expected}
    told = list(entries)
    for at, entry in enumerate(told):
        _follow(traces, entry, at)
    cut = _cut_off(told)
    cut_task = told[cut].body["task"] if cut >= 0 else ""
    judged = {host: _judge(trace, cut, cut_task, wanted) for host, trace in traces.items()}
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
            evidence = entry.body["evidence"]
            trace.evidence[str(evidence.get("verb", ""))], trace.evidence_at = evidence, at


def _judge(trace: _Trace, cut: int, cut_task: str, wanted: Sequence[str]) -> Outcome:
    """`cut` is where a task stands that has no end (-1: none): what was read back before it proves nothing any more."""
    changed = tuple(trace.changed)
    values = _values(trace, wanted)
    if trace.unreachable:
        return Outcome("unreachable", trace.unreachable, changed, values)
    failed = _reasons(trace, "failed")
    if failed is not None:
        return Outcome("failed", failed, changed, values)
    if trace.failure:
        return Outcome("failed", trace.failure, changed, values)
    if not trace.evidence and not trace.reached:
        return Outcome("missing", "no result came from it")
    unread = [verb for verb in wanted if verb not in trace.evidence]
    if unread or not trace.evidence:
        of = f" of {', '.join(unread)}" if len(wanted) > 1 else ""
        return Outcome("failed", f"the outcome{of} was not read back", changed, values)
    if cut > trace.evidence_at:
        return Outcome("failed", f"cut off in: {cut_task}", changed, values)
    odd = {str(evidence.get("outcome")) for evidence in trace.evidence.values()} - {"ok", "deferred"}
    if odd:
        return Outcome("failed", f"evidence with an unknown outcome: {min(odd)}", changed, values)
    deferred = _reasons(trace, "deferred")
    if deferred is not None:
        return Outcome("deferred", deferred, changed, values)
    return Outcome("changed" if changed else "ok", _reasons(trace, "ok") or "", changed, values)


def _reasons(trace: _Trace, verdict: str) -> str | None:
    """The reasons of the evidence with that verdict, of which verb where there are several; None if there is none."""
    found = {verb: str(e.get("reason", "")) for verb, e in trace.evidence.items() if e.get("outcome") == verdict}
    if not found:
        return None
    if len(trace.evidence) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{verb}: {reason}" for verb, reason in found.items() if reason)


def _values(trace: _Trace, wanted: Sequence[str]) -> Mapping[str, Any]:
    """The values read back; by verb where several are wanted."""
    if len(wanted) > 1:
        return {verb: evidence.get("values", {}) for verb, evidence in trace.evidence.items()}
    evidence = next(reversed(trace.evidence.values()), {})
    values: Mapping[str, Any] = evidence.get("values", {})
    return values
