"""The command `lab`: parse, call one function of the core, render."""

from __future__ import annotations

import importlib
from typing import Any

import click

from lab_tool import __version__

# Loaded only when asked for: `lab log show` must not pay for what `lab run` needs.
COMMANDS = {
    "rooms": "lab_tool.cli.rooms",
    "plan": "lab_tool.cli.plan",
    "change": "lab_tool.cli.change",
    "run": "lab_tool.cli.run",
    "undo": "lab_tool.cli.undo",
    "restore": "lab_tool.cli.restore",
    "image": "lab_tool.cli.image",
    "password": "lab_tool.cli.password",
    "drift": "lab_tool.cli.drift",
    "status": "lab_tool.cli.status",
    "log": "lab_tool.cli.log",
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use; module `lab_tool.cli.X` holds a command named `X`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
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
