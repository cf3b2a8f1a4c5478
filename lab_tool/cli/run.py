"""`lab run`: an approved change, a prepared procedure, an emergency, or the rest of an earlier run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import HostsError, LabError
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.order import Order
    from lab_tool.core.reckoning import RunResult

INTERRUPTED = 130
# Shows a result and, by host, what differs.
Show = Callable[["RunResult", Mapping[str, Sequence[str]]], None]


@click.command()
@click.argument("target", metavar="CHANGE|VERB", required=False, default="")
@click.option("--room", "rooms", multiple=True, help="With a verb: a room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="With a verb: a single host; may be repeated.")
@click.option("--emergency", metavar="REASON", default="", help="Without approval, for those entitled to it.")
@click.option("--resume", metavar="RUN", default="", help="Do what an earlier run left undone, and only that.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def run(
    target: str,
    rooms: tuple[str, ...],
    hosts: tuple[str, ...],
    emergency: str,
    resume: str,
    key: Path | None,
    out: Output,
) -> None:
    """Run an approved change on exactly the approved hosts, and record it.

    \b
    Examples:
      lab run c-1f2e3d4c5b                       an approved change
      lab run patch --room a301                  a prepared procedure (standing approval)
      lab run patch --host a301-07 --emergency "Exam in an hour, PC infected"
      lab run --resume r-20261124T102030-1f2e    only the hosts that were not done

    \b
    Exit codes:
      0 every host is well            3 some host failed, is unreachable or missing
      5 refused                       1 the tool itself failed
    """
    from lab_tool.core import orders
    from lab_tool.core.identity import default_key
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    desk = orders.Desk(settings, school, key or default_key(os.environ), utc_now)
    order = orders.make_order(desk, orders.Wish(target, rooms, hosts, emergency, resume))
    carry_out(settings, school, order, out, lambda result, found: render(order, result, found, out))


def carry_out(settings: Settings, school: Any, order: Order, out: Output, show: Show) -> None:
    """Run an order before the user's eyes, `show` how it ended, and leave with its exit code unless all is well."""
    from lab_tool.cli.progress import ProgressView
    from lab_tool.core.differences import differences
    from lab_tool.core.run import execute

    announce(order, out)
    rooms = {host.name: host.room for host in order.hosts}
    with ProgressView(rooms, out.language) as view:
        result = execute(settings, school, order, view, utc_now)
    show(result, differences(settings, result.run))
    if result.problem:
        raise LabError(
            out.say("run", "problem", problem=result.problem), next_command=f"lab log show --run {result.run}"
        )
    if isinstance(result.published, LabError):
        raise result.published
    if result.interrupted:
        raise SystemExit(INTERRUPTED)
    if not result.all_good:
        raise SystemExit(HostsError.exit_code)


def announce(order: Order, out: Output) -> None:
    """Say first whether this is a rehearsal: somebody may believe it is not."""
    if order.check:
        out.line(out.say("run", "rehearsal"), bold=True)
    else:
        out.line(out.say("run", "for_real", verb=order.plan.verb, hosts=len(order.hosts)), bold=True)
    if order.emergency:
        out.line(out.say("run", "emergency"), colour="red", bold=True)


def render(order: Order, result: RunResult, found: Mapping[str, Sequence[str]], out: Output) -> None:
    """Summary, every host with its one outcome, what changed, and where the checkpoint went."""
    counts = Counter(outcome.outcome for outcome in result.outcomes.values())
    listed = ", ".join(f"{out.say('run', name)} {number}" for name, number in sorted(counts.items()))
    out.line(out.say("run", "finished", run=result.run, counts=listed), bold=True)
    columns = [out.say("run", word) for word in ("host", "outcome", "what_changed", "reason")]
    rows = [
        (host, out.say("run", outcome.outcome), "\n".join(found.get(host, ())), outcome.reason)
        for host, outcome in result.outcomes.items()
    ]
    out.table(columns, rows)
    if result.moved:
        out.note(out.say("run", "moved", moved="; ".join(result.moved)))
    if result.interrupted:
        out.note(out.say("run", "was_interrupted", run=result.run))
    elif not result.check and not result.all_good:
        out.note(out.say("run", "resume_hint", run=result.run))
    if order.emergency:
        out.note(out.say("run", "overdue", change=result.change))
    _render_checkpoint(result, out)
    out.result("run", as_json(result, found))


def as_json(result: RunResult, found: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The `data` of `lab run --json`."""
    return {
        "run": result.run,
        "change": result.change,
        "check": result.check,
        "interrupted": result.interrupted,
        "problem": result.problem,
        "moved": list(result.moved),
        "outcomes": {
            host: {**outcome.as_json(), "values": dict(outcome.values), "differences": list(found.get(host, ()))}
            for host, outcome in result.outcomes.items()
        },
    }


def _render_checkpoint(result: RunResult, out: Output) -> None:
    published = result.published
    if published is None or isinstance(published, LabError):
        return
    for place in published.failed:
        out.note(out.say("run", "place_failed", place=place.place, reason=place.reason))
    if published.reached:
        places = ", ".join(str(place) for place in published.reached)
        out.line(out.say("run", "checkpoint", size=published.size, places=places))
    else:
        out.note(out.say("run", "no_second_place"))
