"""The command `lab`: parse, call one function of the core, render."""

from __future__ import annotations

from typing import Any

import click

from lab_tool import __version__
from lab_tool.cli.lazy import LazyGroup

# Loaded only when asked for: `lab log show` must not pay for what `lab run` needs.
COMMANDS = {
    "rooms": ("lab_tool.cli.rooms", "rooms"),
    "plan": ("lab_tool.cli.plan", "plan"),
    "change": ("lab_tool.cli.change", "change"),
    "run": ("lab_tool.cli.run", "run"),
    "undo": ("lab_tool.cli.undo", "undo"),
    "restore": ("lab_tool.cli.restore", "restore"),
    "image": ("lab_tool.cli.image", "image"),
    "password": ("lab_tool.cli.password", "password"),
    "drift": ("lab_tool.cli.drift", "drift"),
    "status": ("lab_tool.cli.status", "status"),
    "log": ("lab_tool.cli.log", "log"),
}


@click.command(cls=LazyGroup, known=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lab")
def lab() -> None:
    """Plan, approve, run and record changes to the machines of a school.

    \b
    Examples:
      lab rooms                                   every room, its keeper and its machines
      lab plan patch --room a301                  what would change, machine by machine
      lab change request patch --room a301 --why "Term starts"
      lab run CHANGE                              run an approved change
      lab status --room a301                      how each seat stands
      lab log verify                              prove that nothing in the log was altered
    """


def main(argv: list[str] | None = None) -> Any:
    """Entry point of the console script."""
    return lab.main(args=argv, prog_name="lab")
