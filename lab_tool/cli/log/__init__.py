"""`lab log`: look at the log, prove it, and keep its checkpoints."""

from __future__ import annotations

import click

from lab_tool.cli.lazy import LazyGroup

# Loaded only when asked for, so that `lab log show` starts fast.
COMMANDS = {
    "show": ("lab_tool.cli.log.show", "show"),
    "verify": ("lab_tool.cli.log.verify", "verify"),
    "export": ("lab_tool.cli.log.export", "export"),
    "prove": ("lab_tool.cli.log.prove", "prove"),
    "check-proof": ("lab_tool.cli.log.prove", "check_proof"),
    "checkpoint": ("lab_tool.cli.log.checkpoint", "checkpoint"),
    "keys": ("lab_tool.cli.log.keys", "keys"),
    "init": ("lab_tool.cli.log.keys", "init"),
    "rotate-key": ("lab_tool.cli.log.keys", "rotate_key"),
    "key-lost": ("lab_tool.cli.log.keys", "key_lost"),
    "witness": ("lab_tool.cli.log.witness", "witness"),
}


@click.command(cls=LazyGroup, known=COMMANDS)
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
