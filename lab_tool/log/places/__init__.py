"""Second places: where copies of checkpoints go that whoever runs this machine can't change.

Each kind is a module with `send` and, where what was sent can be asked for again, `read_back`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.log.note import Checkpoint
from lab_tool.school.model import SecondPlace

# Seconds a place may take; a run waits for it at its end.
PATIENCE = 30.0


class PlaceError(LabError):
    """A second place could not be reached, or refused."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A checkpoint on its way, to a place that has `held` so far. `consistency(old)` gives the hashes that show how it
    extends the log of `old` entries; `base` is the folder that relative paths start from.
    """

    checkpoint: Checkpoint
    held: Checkpoint | None
    consistency: Callable[[int], list[bytes]]
    now: datetime
    base: Path


def place_name(place: SecondPlace) -> str:
    """What a place is called in entries and on screen."""
    return f"{place.kind} {without_password(place.target)}"


def without_password(text: str) -> str:
    """`text` without the name and password that a URL in it may hold."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def send(place: SecondPlace, delivery: Delivery) -> None:
    """Deliver. Raises `PlaceError`."""
    # Imported here: most commands that import this module send nothing.
    from lab_tool.log.places import folder, git, mail, witness

    {"folder": folder.send, "git": git.send, "mail": mail.send, "witness": witness.send}[place.kind](
        place.target, delivery
    )


def read_back(place: SecondPlace, origin: str, base: Path) -> list[tuple[str, bytes]] | None:
    """Name and text of the checkpoints of the log `origin` that the place holds, as it shows them now.

    None for a kind that can't be asked. Raises `PlaceError`.
    """
    from lab_tool.log.places import folder, git, witness

    if place.kind == "mail":
        return None
    asked = {"folder": folder.read_back, "git": git.read_back, "witness": witness.read_back}[place.kind]
    return asked(place.target, origin, base)
