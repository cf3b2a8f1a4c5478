"""What became of each host of a run, from the run's entries alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

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


@dataclass(slots=True)
class _Trace:
    """What the entries say about one host so far."""

    reached: bool = False
    changed: list[str] = field(default_factory=list)
    failure: str = ""
    unreachable: str = ""
    evidence: Mapping[str, Any] | None = None


def outcomes(expected: Sequence[str], excluded: Mapping[str, str], entries: Iterable[Entry]) -> dict[str, Outcome]:
    """Exactly one outcome for every expected and every excluded host (name -> reason), in the order given."""
    traces = {host: _Trace() for host in expected}
    for entry in entries:
        _follow(traces, entry)
    judged = {host: _judge(trace) for host, trace in traces.items()}
    return judged | {host: Outcome("deferred", reason) for host, reason in excluded.items()}


def reach(expected: Sequence[str], entries: Sequence[Entry], result: Mapping[str, Outcome]) -> dict[str, Json]:
    """For a run cut off: which hosts were reached, and which weren't, or may have been by the task that had no end."""
    reached = [host for host in expected if result[host].outcome not in ("missing", "unreachable")]
    away = [host for host in expected if host not in reached]
    last = next((entry for entry in reversed(entries) if entry.kind in ("task.started", "task.finished")), None)
    cut_off = last is not None and last.kind == "task.started"
    return {
        "reached": reached,
        "in_doubt": away if cut_off else [],
        "not_reached": [] if cut_off else away,
        "task": str(last.body["task"]) if last is not None and cut_off else "",
        "outcomes": {host: outcome.as_json() for host, outcome in result.items()},
    }


def _follow(traces: Mapping[str, _Trace], entry: Entry) -> None:
    if entry.kind == "task.finished":
        # Results that changed nothing have no entry of their own, but show that the host was reached.
        for state, hosts in entry.body["results"].items():
            for host in hosts:
                if state != "unreachable" and host in traces:
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
        elif entry.kind == "task.failed" and not entry.body["ignored"]:
            trace.reached = True
            message = str(entry.body["result"].get("msg", ""))
            trace.failure = f"{task} ({entry.body['place']})" + (f": {message}" if message else "")
        elif entry.kind == "task.unreachable":
            trace.unreachable = str(entry.body["reason"]) or task
        elif entry.kind == "evidence.read":
            # Read after whatever failed before it, so that failure was rescued.
            trace.reached, trace.failure, trace.unreachable = True, "", ""
            trace.evidence = entry.body["evidence"]


def _judge(trace: _Trace) -> Outcome:
    changed = tuple(trace.changed)
    values = trace.evidence.get("values", {}) if trace.evidence else {}
    if trace.unreachable:
        return Outcome("unreachable", trace.unreachable, changed, values)
    if trace.failure:
        return Outcome("failed", trace.failure, changed, values)
    if trace.evidence is None:
        if trace.reached:
            return Outcome("failed", "the outcome was not read back", changed)
        return Outcome("missing", "no result came from it")
    verdict, reason = trace.evidence.get("outcome"), str(trace.evidence.get("reason", ""))
    if verdict == "ok":
        return Outcome("changed" if changed else "ok", reason, changed, values)
    if verdict in ("deferred", "failed"):
        return Outcome(cast(OutcomeName, verdict), reason, changed, values)
    return Outcome("failed", f"evidence with an unknown outcome: {verdict}", changed, values)
