"""`lab plan`: what a verb would do, asked of the PCs themselves; nothing is changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.log.text import plain
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.plan import Plan
    from lab_tool.core.reckoning import RunResult

COLOURS = {"changed": "yellow", "ok": "green", "failed": "red", "unreachable": "red", "missing": "red"}
# In which order they are counted, and told one by one.
SUMMARY = ("changed", "ok", "deferred", "failed", "unreachable", "missing")
MOST_NAMES = 10


@click.command()
@click.argument("verb")
@click.option("--room", "rooms", multiple=True, help="A room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A single host; may be repeated.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="An input of the role, for this plan only."
)
@click.option("--no-check", is_flag=True, help="Don't ask the PCs: only what would run on which of them.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def plan(
    verb: str,
    rooms: tuple[str, ...],
    hosts: tuple[str, ...],
    overrides: tuple[str, ...],
    no_check: bool,
    key: Path | None,
    out: Output,
) -> None:
    """Plan VERB on rooms or hosts: check and diff on the PCs themselves, and a digest over all that would run.

    \b
    Examples:
      lab plan patch --room a301                     what would change, PC by PC
      lab plan patch --host a301-07 --host a301-08   two PCs
      lab plan patch --room a301 --set patch_scope=full
      lab plan patch --room a301 --no-check          the plan alone; no PC is asked

    \b
    Exit codes:
      0 all PCs answered              3 some PC failed or is unreachable
      5 refused                       1 the tool itself failed
    """
    from lab_tool.core.identity import default_key
    from lab_tool.core.rehearsal import plan_on_record
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    key = key or default_key(os.environ)
    made = plan_on_record(settings, school, verb, rooms, hosts, overrides, key, utc_now)
    render_plan(made, out)
    if no_check:
        out.line(out.say("plan", "unasked"))
        out.result("plan", as_json(made, None, {}))
        return
    check(settings, school, made, key, out)
    command = " ".join([f"lab change request {verb}", *_options(rooms, hosts, overrides), '--why "..."'])
    out.line(out.say("plan", "next", command=command))


def check(settings: Settings, school: Any, made: Plan, key: Path, out: Output) -> None:
    """Ask the PCs, show what would change, and leave with 3 where some did not answer as they should."""
    from lab_tool.cli.run import carry_out
    from lab_tool.core import orders

    def show(result: RunResult, found: Mapping[str, Sequence[str]]) -> None:
        render_check(result, found, out)
        out.result("plan", as_json(made, result, found))

    carry_out(settings, school, orders.rehearsal(orders.Desk(settings, school, key, utc_now), made), out, show)


def render_plan(made: Plan, out: Output) -> None:
    """What would run, and where it comes from."""
    digest, rooms = made.digest[:12], ", ".join(made.rooms)
    heading = out.say("plan", "heading", digest=digest, verb=made.verb, hosts=len(made.hosts), rooms=rooms)
    out.line(heading, bold=True)
    if made.excluded:
        reasons = ", ".join(f"{host} ({reason})" for host, reason in made.excluded.items())
        out.line(out.say("plan", "left_out", hosts=reasons), colour="yellow")
    if made.overrides:
        out.line(out.say("plan", "settings", settings=", ".join(f"{k}={v}" for k, v in made.overrides.items())))
    commit = str(made.about.get("commit", ""))[:12] or out.say("plan", "no_commit")
    dirty = out.say("plan", "dirty") if made.about.get("dirty") else ""
    out.line(out.say("plan", "content", files=len(made.content), commit=commit) + dirty)


def render_check(result: RunResult, found: Mapping[str, Sequence[str]], out: Output) -> None:
    """Counts first, then what would change; PCs of which the same is to be said are named together."""
    counts: Counter[str] = Counter(outcome.outcome for outcome in result.outcomes.values())
    counted = ", ".join(out.say("plan", name, number=counts[name]) for name in SUMMARY if counts[name])
    out.line()
    out.line(out.say("plan", "summary", counts=counted), bold=True)
    groups: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for host, outcome in result.outcomes.items():
        lines = tuple(found.get(host, ())) if outcome.outcome == "changed" else ()
        groups.setdefault((outcome.outcome, outcome.reason, lines), []).append(host)
    for name in SUMMARY:
        for (outcome_name, reason, lines), names in groups.items():
            if outcome_name == name and (reason or lines):
                word = out.say("plan", "would_change") if name == "changed" else out.say("run", name)
                words = f"{word}: {plain(reason)}" if reason else word
                out.line(f"\n{_named(names)}  {words}", colour=COLOURS.get(name, ""))
                for line in lines:
                    out.line(f"  {plain(line)}")


def as_json(made: Plan, result: RunResult | None, found: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The `data` of `lab plan --json`; `check` is null when no PC was asked."""
    answered: dict[str, Any] | None = None
    if result is not None:
        answered = {
            "run": result.run,
            "interrupted": result.interrupted,
            "problem": result.problem,
            "outcomes": {
                host: {**outcome.as_json(), "values": dict(outcome.values), "differences": list(found.get(host, ()))}
                for host, outcome in result.outcomes.items()
            },
        }
    return {"digest": made.digest, **made.as_json(), "check": answered}


def _named(names: Sequence[str]) -> str:
    more = f" (+{len(names) - MOST_NAMES})" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _options(rooms: Iterable[str], hosts: Iterable[str], overrides: Iterable[str]) -> list[str]:
    named = (("--room", rooms), ("--host", hosts), ("--set", overrides))
    return [f"{option} {value}" for option, values in named for value in values]
