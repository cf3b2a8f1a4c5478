"""`lab image`: versions of images, who gets which, and the system that PCs boot to be imaged."""

from __future__ import annotations

import click

from lab_tool.cli.lazy import LazyGroup

# Loaded only when asked for: to list images must not pay for what builds them.
COMMANDS = {
    "build": ("lab_tool.cli.image_make", "build"),
    "import": ("lab_tool.cli.image_make", "import_"),
    "capture": ("lab_tool.cli.image_make", "capture"),
    "list": ("lab_tool.cli.image_view", "list_"),
    "show": ("lab_tool.cli.image_view", "show"),
    "diff": ("lab_tool.cli.image_view", "diff"),
    "promote": ("lab_tool.cli.image_ring", "promote"),
    "rollback": ("lab_tool.cli.image_ring", "rollback"),
    "gc": ("lab_tool.cli.image_ring", "gc"),
    "verify": ("lab_tool.cli.image_view", "verify"),
    "deploy-system": ("lab_tool.cli.image_deploy", "deploy_system"),
    "stick": ("lab_tool.cli.image_deploy", "stick"),
}


@click.command(cls=LazyGroup, known=COMMANDS)
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
