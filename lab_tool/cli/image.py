"""`lab image`: versions of images, who gets which, and the system that PCs boot to be imaged."""

from __future__ import annotations

import importlib

import click

# Loaded only when asked for: to list images must not pay for what builds them.
COMMANDS = {
    "build": ("image_make", "build"),
    "import": ("image_make", "import_"),
    "capture": ("image_make", "capture"),
    "list": ("image_view", "list_"),
    "show": ("image_view", "show"),
    "diff": ("image_view", "diff"),
    "promote": ("image_ring", "promote"),
    "rollback": ("image_ring", "rollback"),
    "gc": ("image_ring", "gc"),
    "verify": ("image_view", "verify"),
    "deploy-system": ("image_deploy", "deploy_system"),
    "stick": ("image_deploy", "stick"),
}


class ImageGroup(click.Group):
    """The commands of `lab image`, imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"lab_tool.cli.{module}"), name)
        return command


@click.command(cls=ImageGroup)
def image() -> None:
    """Images: versions that never change, made by somebody who signs them, tried on canaries before all get them.

    \b
    Examples:
      lab image build debian-lab --changes "Patches of November"
      lab image promote debian-lab/3 --ring canary --why "Patches of November"
      lab change request image --host a301-01 --why "Try version 3"
      lab image promote debian-lab/3 --ring all --why "Works on the canaries"
      lab image rollback debian-lab --ring all --why "The printer is gone"
    """
