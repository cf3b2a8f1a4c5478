"""From what was typed to hosts: exactly those, never more, and never all by accident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab_tool.errors import UsageError
from lab_tool.school.model import Host, Room, School
from lab_tool.school.problem import did_you_mean, quote


def find_room(school: School, name: str) -> Room:
    """The room of that id. Raises `UsageError`, which names the nearest one."""
    if name not in school.rooms:
        raise UsageError(_unknown("room", name, school.rooms), next_command="lab rooms")
    return school.rooms[name]


def select_hosts(school: School, rooms: Sequence[str], hosts: Sequence[str]) -> tuple[Host, ...]:
    """All hosts of the rooms and the single hosts, each once, in the order of the inventory.

    Raises `UsageError` where nothing was named, and for a room or host that does not exist (there are no patterns).
    """
    if not rooms and not hosts:
        raise UsageError("no room and no host was named", next_command="lab rooms")
    wanted = {host.name for room in rooms for host in find_room(school, room).hosts}
    every = {host.name: host for room in school.rooms.values() for host in room.hosts}
    for name in hosts:
        if name not in every:
            raise UsageError(_unknown("host", name, every), next_command="lab rooms")
        wanted.add(name)
    return tuple(host for name, host in every.items() if name in wanted)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"there is no {what} {quote(name)}" + (f". {hint}" if hint else "")
