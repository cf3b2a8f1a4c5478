"""The key with which this control node signs orders; PCs and image servers know its public half."""

from __future__ import annotations

import os
from pathlib import Path

from lab_tool import process, signature
from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.order import NAMESPACE
from lab_tool.settings import Settings


def control_key(settings: Settings) -> Path:
    """Where the private half lies. Raises `UsageError` when there is none yet."""
    path = settings.keys / "image"
    if not path.is_file():
        raise UsageError(
            "this control node has no key for orders", where=str(path), next_command="lab image deploy-system build"
        )
    return path


def make_control_key(settings: Settings) -> Path:
    """The key, made where it is missing: Ed25519, without a passphrase, since timers sign with it."""
    path = settings.keys / "image"
    if not path.is_file():
        settings.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = path.with_name(f".image.{os.getpid()}")
        done = process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab image orders", "-f", str(made)])
        if done.code != 0:
            raise LabError(f"no key could be made: {done.error_text}", where=str(path))
        made.with_name(f"{made.name}.pub").replace(path.with_name("image.pub"))
        made.replace(path)
    return path


def public_line(settings: Settings) -> str:
    """The public half, as `type base64`."""
    return signature.public_line(control_key(settings))


def sign(settings: Settings, message: bytes) -> str:
    """The armoured signature of an order or of a command to the server."""
    return signature.sign(message, control_key(settings), NAMESPACE)
