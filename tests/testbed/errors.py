"""What the room builder raises."""

from __future__ import annotations


class RoomError(Exception):
    """A room could not be built, changed or removed; the message says what and where."""
