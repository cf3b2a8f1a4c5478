"""`lab log`: look at the log, prove it, and keep its checkpoints."""

from __future__ import annotations

import importlib

import click

# Loaded only when asked for, so that `lab log show` starts fast.
COMMANDS = {
    "show": ("show", "show"),
    "verify": ("verify", "verify"),
    "export": ("export", "export"),
    "prove": ("prove", "prove"),
    "check-proof": ("prove", "check_proof"),
    "checkpoint": ("checkpoint", "checkpoint"),
    "keys": ("keys", "keys"),
    "init": ("keys", "init"),
    "rotate-key": ("keys", "rotate_key"),
    "key-lost": ("keys", "key_lost"),
    "witness": ("witness", "witness"),
}


class LogGroup(click.Group):
    """The commands of `lab log`, imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return command


@click.command(cls=LogGroup)
def log() -> None:
    """Look at the log, prove that nothing in it was altered, and keep its checkpoints.

    \b
    Examples:
      lab log show --room a301 --since 2026-11-01    what happened there
      lab log verify                                 against itself and all checkpoints that can be reached
      lab log export --format csv -o november.csv    for a spreadsheet
      lab log prove 1204 -o proof.json               one entry, for somebody who may see no other
      lab log checkpoint                             sign what the log is now, and give copies away
    """
