"""`lab undo`: ask for what a verb did to be undone."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lab_tool.cli import change_view
from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.settings import Settings

SUFFIX = "_undo"


@click.command()
@click.argument("verb")
@click.option("--room", "rooms", multiple=True, help="A room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A single host; may be repeated.")
@click.option("--why", required=True, help="The reason, in one line.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def undo(verb: str, rooms: tuple[str, ...], hosts: tuple[str, ...], why: str, key: Path | None, out: Output) -> None:
    """Ask for what VERB did on rooms or hosts to be undone: a change like any other, which somebody else approves.

    What the machines were like before VERB first touched them was kept on them, and is given back.

    \b
    Examples:
      lab undo lockdown --room a301 --why "The room becomes an office"
      lab undo lockdown --host a301-07 --why "Handed back to the supplier"
    """
    from lab_tool.core import change as core
    from lab_tool.core.identity import default_key
    from lab_tool.rules import VERBS
    from lab_tool.school.load import load_school

    if verb + SUFFIX not in VERBS:
        known = ", ".join(name.removesuffix(SUFFIX) for name in VERBS if name.endswith(SUFFIX))
        raise UsageError(f"the tool can't undo {verb}, only {known}", next_command=f"less roles/{verb}/README.md")
    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    wish = core.Wish(verb + SUFFIX, rooms, hosts, why)
    state = core.request(settings, school, wish, key or default_key(os.environ), utc_now)
    change_view.requested(school, state, utc_now(), out)
