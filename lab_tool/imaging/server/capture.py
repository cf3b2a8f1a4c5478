"""Takes in what a PC sends of its disk: whole files below `incoming/<order>/`, and never the last of the room."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from aiohttp import StreamReader

from lab_tool.imaging.server.files import fsync_folder

# No name of a folder, hidden file or unfinished one fits.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}(?:\.[a-z0-9]{1,10})?")
# Seconds for the next piece to come.
PATIENCE = 60.0
_PIECE = 1 << 20
# How often it is asked how much room is left.
_LOOK_EVERY = 16 << 20


class FullError(Exception):
    """There is no room for it."""


def room(folder: Path) -> int:
    """Free bytes where `folder` lies."""
    return shutil.disk_usage(folder).free


async def receive(
    body: StreamReader,
    folder: Path,
    name: str,
    size: int,
    reserve: int,
    free: Callable[[Path], int] = room,
    patience: float = PATIENCE,
) -> tuple[int, str]:
    """Write a body of `size` bytes (-1: unknown) to `folder/name`; its size and SHA-256.

    Nothing is left of one that was cut off. Raises `FullError`, `TimeoutError`, and `OSError`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if free(folder) - max(size, 0) < reserve:
        raise FullError
    part = folder / f".{name}.{secrets.token_hex(4)}"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            digest, done, looked = hashlib.sha256(), 0, 0
            while piece := await asyncio.wait_for(body.read(_PIECE), patience):
                done += len(piece)
                if done - looked >= _LOOK_EVERY:
                    looked = done
                    if free(folder) < reserve:
                        raise FullError
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if size not in (-1, done):
            raise ConnectionError(f"{done} bytes came of {size}")
        part.replace(folder / name)
        fsync_folder(folder)
    finally:
        part.unlink(missing_ok=True)
    return done, digest.hexdigest()


def sweep(incoming: Path) -> None:
    """Remove what a killed server left unfinished."""
    for part in incoming.glob("*/.*"):
        part.unlink()
