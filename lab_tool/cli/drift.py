"""`lab drift`: the PCs as they are, against the inventory and the standard; and whether a sample was drawn fairly."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError, VerificationError
from lab_tool.log.text import plain
from lab_tool.rules.controls import CONTROLS
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.draw import Draw
    from lab_tool.core.drift import Checked
    from lab_tool.core.reckoning import RunResult

COLOURS = {"red": "red", "yellow": "yellow"}
COLUMNS = ("severity", "what", "expected", "found", "rule")
UNWELL = ("failed", "unreachable", "missing")


@click.group(invoke_without_command=True)
@click.option("--room", "rooms", multiple=True, help="A room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A single host; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Every room.")
@click.option("--sample", metavar="10%|N", default="", help="Only so many of them, drawn at random.")
@click.option("--seed", metavar="TEXT", default="", help="What the draw comes from (default: the system's randomness).")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@click.pass_context
@output_options
def drift(
    context: click.Context,
    rooms: tuple[str, ...],
    hosts: tuple[str, ...],
    everything: bool,
    sample: str,
    seed: str,
    key: Path | None,
    out: Output,
) -> None:
    """Compare PCs with the inventory, the school's standard and the lock-down. Nothing is changed on them.

    Needs no approval: whoever may request or run changes there, or audits, may look. With --sample the seed, the
    candidates and those drawn are in the log, signed, before any PC is asked; --seed is for a seed that others agreed
    on or can foresee as little as you, such as a drawn lottery number.

    \b
    Examples:
      lab drift --room a301
      lab drift --host a301-07 --json
      lab drift --all --sample 10%            an unannounced inspection
      lab drift check-draw r-20261124T102030-1f2e

    \b
    Exit codes:
      0 all PCs answered, whatever was found     3 some PC failed or is unreachable
      5 refused                                  1 the tool itself failed
    """
    if context.invoked_subcommand is not None:
        return
    from lab_tool.cli.run import carry_out
    from lab_tool.core import orders
    from lab_tool.core.drift import Sample, prepare
    from lab_tool.core.identity import default_key
    from lab_tool.school.load import load_school

    if seed and not sample:
        raise UsageError("--seed is for a draw; give --sample too", next_command="lab drift --help")
    if everything and (rooms or hosts):
        raise UsageError("--all is every room already", next_command="lab drift --help")
    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    desk = orders.Desk(settings, school, key or default_key(os.environ), utc_now)
    wanted = Sample(sample, seed or secrets.token_hex(16), bool(seed)) if sample else None
    plan, drawn = prepare(desk, tuple(school.rooms) if everything else rooms, hosts, wanted)
    if drawn:
        render_draw(drawn, out)

    def show(result: RunResult, found: Mapping[str, Sequence[str]]) -> None:
        render(result, out)
        out.result("drift", as_json(result, drawn))
        if drawn:
            out.line(out.say("drift", "to_check", run=result.run))

    carry_out(settings, school, orders.rehearsal(desk, plan), out, show)


@drift.command("check-draw")
@click.argument("target", metavar="RUN|ENTRY")
@output_options
def check_draw(target: str, out: Output) -> None:
    """Check the draw that a run stands on, or that the log's entry of that number holds: anybody can.

    The candidates are sorted by SHA-256 of seed, zero byte and host name, and the first so many are drawn. This does it
    again, and proves the signature. It can't tell how often somebody tried seeds before one was recorded; a seed that
    somebody else gives (--seed) is against that.

    \b
    Examples:
      lab drift check-draw r-20261124T102030-1f2e
      lab drift check-draw 4711 --json

    \b
    Exit codes:
      0 drawn as it says              4 it was not
    """
    from lab_tool.core.drift import check_draw as check
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    checked = check(settings, load_school(settings.inventory), target)
    render_draw(checked.draw, out)
    verdict = out.say(
        "drift", "not_fair" if checked.faults else "fair", seq=checked.entry.seq, actor=checked.entry.actor
    )
    out.line(verdict, colour="red" if checked.faults else "green", bold=True)
    for text in checked.faults:
        out.line(f"- {text}", colour="red")
    for text in checked.notes:
        out.line(f"- {text}", colour="yellow")
    out.line(out.say("drift", "run_of_draw", run=checked.run) if checked.run else out.say("drift", "no_run"))
    out.result("drift.draw", draw_json(checked))
    if checked.faults:
        raise SystemExit(VerificationError.exit_code)


def render_draw(drawn: Draw, out: Output) -> None:
    """The seed, from how many, and who."""
    words = "chosen_seed" if drawn.chosen else "random_seed"
    out.line(out.say("drift", "drawn", size=drawn.size, candidates=len(drawn.candidates), hosts=", ".join(drawn.hosts)))
    out.line(out.say("drift", words, seed=drawn.seed))


def render(result: RunResult, out: Output) -> None:
    """Counts first, then every finding in a table, then who could not be asked."""
    findings = found_in(result)
    red, yellow = (sum(_number(outcome.values.get(level)) for outcome in result.outcomes.values()) for level in COLOURS)
    well = [host for host, outcome in result.outcomes.items() if outcome.outcome == "ok" and not findings[host]]
    out.line()
    out.line(out.say("drift", "summary", hosts=len(result.outcomes), well=len(well), red=red, yellow=yellow), bold=True)
    rows = [(host, *row(each, out)) for host, listed in findings.items() for each in listed]
    if rows:
        out.table([out.say("drift", f"column_{name}") for name in ("host", *COLUMNS)], rows)
    for host, outcome in result.outcomes.items():
        untold = outcome.values.get("untold")
        more = sum(map(_number, untold.values())) if isinstance(untold, Mapping) else 0
        if more:
            out.line(out.say("drift", "untold", host=host, more=more), colour="yellow")
        if outcome.outcome in UNWELL or outcome.outcome == "deferred":
            colour = "red" if outcome.outcome in UNWELL else "yellow"
            out.line(f"{host}  {out.say('run', outcome.outcome)}: {plain(outcome.reason)}", colour=colour)


def found_in(result: RunResult) -> dict[str, list[dict[str, Any]]]:
    """The findings that are told one by one, by host."""
    return {host: _mappings(outcome.values.get("findings")) for host, outcome in result.outcomes.items()}


def _mappings(value: Any) -> list[dict[str, Any]]:
    """Of what a PC sent, what can be a finding."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def row(finding: Mapping[str, Any], out: Output) -> tuple[str, ...]:
    """A finding, column by column. A control goes by its name and its rules."""
    kind, severity, rule = (str(finding.get(key, "")) for key in ("kind", "severity", "rule"))
    _, _, about = str(finding.get("id", "")).partition(":")
    control = CONTROLS.get(about) if kind == "control" else None
    if control:
        about = control.name.zh if out.language == "zh" else control.name.en
        rule = " ".join(control.rules)
    what = out.say("drift", f"kind_{kind}") + (f": {about}" if about else "")
    words = (out.say("drift", severity), what, *(str(finding.get(key, "")) for key in ("expected", "found")), rule)
    return tuple(plain(word) for word in words)


def as_json(result: RunResult, drawn: Draw | None) -> dict[str, Any]:
    """The `data` of `lab drift --json`."""
    return {
        "run": result.run,
        "interrupted": result.interrupted,
        "problem": result.problem,
        "draw": drawn.as_json() if drawn else None,
        "outcomes": {
            host: {"outcome": outcome.outcome, "reason": outcome.reason, "values": dict(outcome.values)}
            for host, outcome in result.outcomes.items()
        },
    }


def draw_json(checked: Checked) -> dict[str, Any]:
    """The `data` of `lab drift check-draw --json`."""
    return {
        "entry": checked.entry.seq,
        "actor": checked.entry.actor,
        "time": checked.entry.time,
        "draw": checked.draw.as_json(),
        "run": checked.run,
        "fair": not checked.faults,
        "faults": list(checked.faults),
        "notes": list(checked.notes),
    }
