"""Another person's machine as second place, reached by a command such as `ssh lab-witness@host`.

What it answers is `lab_tool.log.witness`, the receiving side.
"""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
from pathlib import Path

from lab_tool import process
from lab_tool.log.places import PATIENCE, Delivery, PlaceError


def send(target: str, delivery: Delivery) -> None:
    """Send the checkpoint with the proof that it extends what the witness has."""
    checkpoint = delivery.checkpoint
    old = delivery.held.size if delivery.held else 0
    if old > checkpoint.size:
        raise PlaceError(f"holds a newer checkpoint already, of {old} entries", where=target)
    proof = [base64.b64encode(each).decode() for each in delivery.consistency(old)]
    lines = "\n".join([f"old {old}", *proof])
    _ask(target, f"{lines}\n\n".encode() + checkpoint.encode())


def read_back(target: str, origin: str, base: Path) -> list[tuple[str, bytes]]:
    """The newest checkpoint it has accepted, if any."""
    text = _ask(target, f"get {origin}\n".encode())
    return [("newest", text)] if text.strip() else []


def _ask(target: str, request: bytes) -> bytes:
    # Nobody sits there to type a password: a key that needs one is an error, not a question on some terminal.
    environment = {**os.environ, "SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    try:
        done = process.run(shlex.split(target), input=request, env=environment, timeout=PATIENCE)
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise PlaceError(f"not reached: {error}", where=target) from error
    if done.code:
        raise PlaceError(done.error_text, where=target)
    return done.out
