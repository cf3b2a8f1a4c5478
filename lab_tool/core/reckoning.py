"""What became of a run: from its entries, never from an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab_tool.canonical import Json
from lab_tool.core.order import Order
from lab_tool.core.outcome import BAD, Outcome, outcomes, reach
from lab_tool.core.plan import make_plan, what_moved
from lab_tool.core.playbook import PlayEnd
from lab_tool.errors import LabError
from lab_tool.log.checkpoint import Published
from lab_tool.log.query import Query, find
from lab_tool.rules import VERBS
from lab_tool.school.model import School
from lab_tool.settings import Settings

STOPPED = "lab_recorder: "


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    `problem` is what the tool itself could not do. `said` is how Ansible put it, for a person at a terminal and nowhere
    else, since it may quote a value. `moved` is what changed under the run, `reached` who was reached when it was cut
    off, `published` the checkpoint or why there is none.
    """

    run: str
    change: str
    check: bool
    outcomes: Mapping[str, Outcome]
    interrupted: bool
    problem: str
    said: str
    moved: tuple[str, ...]
    reached: Mapping[str, Json]
    published: Published | LabError | None = None

    @property
    def all_good(self) -> bool:
        """Whether no host is failed, unreachable or missing."""
        return not any(outcome.outcome in BAD for outcome in self.outcomes.values())

    def as_body(self, ansible_exit_code: int) -> dict[str, Json]:
        """For `run.finished`."""
        return {
            "outcomes": {host: outcome.as_json() for host, outcome in self.outcomes.items()},
            "check": self.check,
            "interrupted": self.interrupted,
            "problem": self.problem,
            "reached": dict(self.reached),
            "ansible_exit_code": ansible_exit_code,
            "moved": list(self.moved),
        }


def reckon(settings: Settings, school: School, run: str, order: Order, end: PlayEnd, *, interrupted: bool) -> RunResult:
    """Outcomes from the log alone, and whether what ran is what was planned."""
    entries = find(settings.log, Query(run=run))
    names = [host.name for host in order.hosts]
    result = outcomes(names, dict(order.plan.excluded), entries, VERBS[order.plan.verb].evidence)
    kinds = {entry.kind for entry in entries}
    whole = "recorder.finished" in kinds
    return RunResult(
        run=run,
        change=order.change,
        check=order.check,
        outcomes=result,
        interrupted=interrupted,
        problem="" if whole or interrupted else _problem(end.said, begun="recorder.started" in kinds),
        said="" if whole or interrupted else end.said[-4000:].strip(),
        moved=_moved(settings, school, order),
        reached={} if whole else reach(names, entries, result),
    )


def _problem(said: str, *, begun: bool) -> str:
    """Why the playbook did not come to its end: the recorder is quoted, Ansible is not."""
    own = [line.removeprefix(STOPPED) for line in said.splitlines() if line.startswith(STOPPED)]
    if own:
        return own[-1]
    return "Ansible ended before the playbook did" if begun else "Ansible ended before the first task"


def _moved(settings: Settings, school: School, order: Order) -> tuple[str, ...]:
    try:
        now = make_plan(settings, school, order.plan.verb, order.plan.asked, order.plan.overrides)
    except (LabError, OSError) as error:
        return (f"the plan can't be made any more: {error}",)
    return what_moved(order.plan, now)
