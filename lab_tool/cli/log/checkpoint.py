"""`lab log checkpoint`: sign what the log is now, and give copies away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import LabError
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.log.checkpoint import Published


@click.command()
@output_options
def checkpoint(out: Output) -> None:
    """Sign the size and root of the log, and copy that to every second place of site.yml.

    Every run ends with one. Call it from a timer as well, so that quiet weeks are covered.

    \b
    Examples:
      lab log checkpoint
      lab log checkpoint --json

    \b
    Exit codes:
      0 every second place has it     1 some second place was not reached
    """
    from lab_tool.log.checkpoint import publish
    from lab_tool.school.load import load_log_policy

    settings = Settings.from_environment(os.environ)
    published = publish(settings, load_log_policy(settings.inventory), utc_now)
    out.result("log.checkpoint", as_json(published))
    render(published, out)
    if published.failed:
        raise SystemExit(LabError.exit_code)


def as_json(published: Published) -> dict[str, Any]:
    """A checkpoint that was made, for `--json`."""
    return {
        "size": published.size,
        "root": published.root,
        "reached": list(published.reached),
        "failed": [{"place": each.place, "reason": each.reason} for each in published.failed],
    }


def render(published: Published, out: Output) -> None:
    """What was signed, where it is, and loudly where it isn't."""
    out.line(out.say("log", "signed", size=published.size, root=published.root))
    for place in published.reached:
        out.line(out.say("log", "reached", place=place), colour="green")
    for each in published.failed:
        out.note(out.say("log", "place_failed", place=each.place, reason=each.reason))
    if not published.reached:
        out.note(out.say("log", "nowhere"))
