"""The school as Ansible's inventory objects: groups, hosts, variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab_tool.school.model import Host, Room, School
from lab_tool.school.shapes import KINDS

CANARIES = "ring_canary"
ALWAYS = ("all", "ungrouped")


def group_names(
    *,
    campuses: Iterable[str],
    buildings: Iterable[str],
    profiles: Iterable[str],
    systems: Iterable[str],
    rooms: Iterable[str],
) -> frozenset[str]:
    """Every group there is, also those that are empty at present."""
    ids = (
        ("campus", campuses),
        ("building", buildings),
        ("kind", KINDS),
        ("profile", profiles),
        ("os", systems),
        ("room", rooms),
    )
    return frozenset({CANARIES, *ALWAYS, *(f"{word}_{name}" for word, names in ids for name in names)})


def populate(inventory: Any, school: School) -> None:
    """Make the groups, hosts and variables in `inventory`, an `InventoryData`.

    What all hosts of a group share is a variable of the group: forty thousand hosts then take half the memory, and
    `ansible-inventory --graph --vars` shows where a value comes from. Values are set on the host and group objects,
    because the wrapper that Ansible hands to plugins copies and marks every one of them.
    """
    everybody = inventory.groups["all"]
    for name, value in (("lab_canary", False), ("lab_out_of_order", ""), ("lab_mac", ""), ("lab_asset", "")):
        everybody.set_variable(name, value)
    everybody.set_variable("lab_time_zone", school.time_zone)
    _make_groups(inventory, school)
    for room in school.rooms.values():
        _add_room(inventory, room)


def _make_groups(inventory: Any, school: School) -> None:
    for word, names in (
        ("campus", school.campuses),
        ("building", school.buildings),
        ("kind", KINDS),
        ("os", school.systems),
        ("profile", school.profiles),
    ):
        for name in names:
            inventory.add_group(f"{word}_{name}")
            inventory.groups[f"{word}_{name}"].set_variable(f"lab_{word}", name)
    for name, system in school.systems.items():
        if system.connection != "ssh":
            inventory.groups[f"os_{name}"].set_variable("ansible_connection", system.connection)
    inventory.add_group(CANARIES)
    inventory.groups[CANARIES].set_variable("lab_canary", True)


def _add_room(inventory: Any, room: Room) -> None:
    name = f"room_{room.id}"
    inventory.add_group(name)
    inventory.groups[name].set_variable("lab_room", room.id)
    inventory.add_child(f"campus_{room.campus}", f"building_{room.building}")
    inventory.add_child(f"building_{room.building}", name)
    inventory.add_child(f"kind_{room.kind}", name)
    one_system = all(host.os == room.os for host in room.hosts)
    one_profile = all(host.profile == room.profile for host in room.hosts)
    # The room as a whole where it is of one sort; else its hosts one by one, since a group can't lack one of its hosts.
    if one_system:
        inventory.add_child(f"os_{room.os}", name)
    if one_profile:
        inventory.add_child(f"profile_{room.profile}", name)
    for host in room.hosts:
        _add_host(inventory, host, name)
        if not one_system:
            inventory.add_child(f"os_{host.os}", host.name)
        if not one_profile:
            inventory.add_child(f"profile_{host.profile}", host.name)
        if host.canary:
            inventory.add_child(CANARIES, host.name)


def _add_host(inventory: Any, host: Host, group: str) -> None:
    inventory.add_host(host.name, group)
    variables = inventory.hosts[host.name].vars
    variables["ansible_host"] = host.address
    variables["lab_seat"] = host.seat
    for name, value in (
        ("lab_mac", host.mac),
        ("lab_asset", host.asset),
        ("lab_address6", host.address6),
        ("lab_out_of_order", host.out_of_order),
    ):
        if value:
            variables[name] = value
