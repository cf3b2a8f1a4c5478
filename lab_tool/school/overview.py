"""What `lab rooms` shows: a line for each room, and a room's seats as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab_tool.school.model import Host, Room, School, Text

Mark = Literal["canary", "out_of_order", "differs"]


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room in one line: who keeps it, and how many seats there are, are canaries, are out of order."""

    id: str
    name: Text
    kind: str
    campus: str
    building: str
    keeper: str
    seats: int
    canaries: int
    out_of_order: int


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of the map, with what is to be noted of it."""

    host: Host
    marks: frozenset[Mark]


def summaries(school: School) -> tuple[RoomSummary, ...]:
    """One for each room, in the order of the inventory."""
    return tuple(_summary(room) for room in school.rooms.values())


def _summary(room: Room) -> RoomSummary:
    return RoomSummary(
        id=room.id,
        name=room.name,
        kind=room.kind,
        campus=room.campus,
        building=room.building,
        keeper=room.keeper,
        seats=len(room.hosts),
        canaries=sum(host.canary for host in room.hosts),
        out_of_order=sum(bool(host.out_of_order) for host in room.hosts),
    )


def seat_rows(room: Room) -> tuple[tuple[Seat, ...], ...]:
    """The seats row by row from the front, `room.per_row` side by side."""
    seats = [Seat(host, _marks(room, host)) for host in room.hosts]
    return tuple(tuple(seats[at : at + room.per_row]) for at in range(0, len(seats), room.per_row))


def _marks(room: Room, host: Host) -> frozenset[Mark]:
    marks: tuple[tuple[Mark, bool], ...] = (
        ("canary", host.canary),
        ("out_of_order", bool(host.out_of_order)),
        ("differs", host.os != room.os or host.profile != room.profile),
    )
    return frozenset(mark for mark, holds in marks if holds)
