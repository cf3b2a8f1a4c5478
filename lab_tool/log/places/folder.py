"""A folder as second place: a mount of another machine, or a disk that is taken away."""

from __future__ import annotations

from pathlib import Path

from lab_tool.log.keep import keep, kept
from lab_tool.log.note import folder_name
from lab_tool.log.places import Delivery, PlaceError


def send(target: str, delivery: Delivery) -> None:
    """A new file below `target`/<origin>/. The folder itself is not made: an empty mount point must not look right."""
    checkpoint = delivery.checkpoint
    folder = delivery.base / target
    if not folder.is_dir():
        raise PlaceError("no such folder, or not mounted", where=str(folder))
    try:
        folder = folder / folder_name(checkpoint.origin)
        folder.mkdir(exist_ok=True)
        keep(folder, checkpoint.file_name, checkpoint.encode(), mode=0o644)
    except OSError as error:
        raise PlaceError(f"can't be written: {error.strerror or error}", where=str(folder)) from error


def read_back(target: str, origin: str, base: Path) -> list[tuple[str, bytes]]:
    """All checkpoints there."""
    folder = base / target
    if not folder.is_dir():
        raise PlaceError("no such folder, or not mounted", where=str(folder))
    try:
        return kept(folder / folder_name(origin))
    except OSError as error:
        raise PlaceError(f"can't be read: {error.strerror or error}", where=str(folder)) from error
