"""A group of commands that are loaded only when asked for: one must not pay for what another needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

# By the command's name, the module it is in and what it is called there; in the order in which they are listed.
Commands = Mapping[str, tuple[str, str]]


class LazyGroup(click.Group):
    """A group whose commands are imported on first use: `@click.command(cls=LazyGroup, known=...)`."""

    def __init__(self, *args: Any, known: Commands, **more: Any) -> None:
        super().__init__(*args, **more)
        self._known = known

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(self._known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in self._known:
            return None
        module, name = self._known[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command
