"""From a room's file to the room: every seat becomes a host with its name, addresses and differences."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from lab_tool.school.addresses import AddressError, AddressPlan, number4, number6, plan4, plan6
from lab_tool.school.files import Document
from lab_tool.school.model import Host, Room, Text
from lab_tool.school.patterns import HOST_NAME
from lab_tool.school.problem import Problem, did_you_mean
from lab_tool.school.shapes import ALL, DifferenceShape, PeopleShape, RoomShape, SiteShape, TextShape

LONGEST_LABEL = 63
NO_MAC = "00:00:00:00:00:00"
NO_DIFFERENCE = DifferenceShape()


@dataclass(frozen=True, slots=True)
class RoomFile:
    """A room with the file it came from and its blocks; the room is None where its hosts could not be made."""

    document: Document
    room: Room | None
    blocks: tuple[AddressPlan, ...]


def text(shape: TextShape) -> Text:
    """A name in both languages."""
    return Text(shape.zh, shape.en)


def make_room(
    document: Document, shape: RoomShape, site: SiteShape | None, people: PeopleShape | None
) -> tuple[RoomFile, list[Problem]]:
    """The room, and everything wrong with it alone. What could not be read itself (None) is not asked."""
    problems = list(_references(document, shape, site, people))
    if document.file.rpartition("/")[2] != f"{shape.room}.yml":
        problems.append(document.problem(("room",), f"room {shape.room!r} in a file of another name", "Rename one"))
    if shape.room == ALL:
        what = f"{ALL!r} can't be a room's id: in people.yml it means every room"
        problems.append(document.problem(("room",), what, "Take another"))
    seats, faults = _seats(document, shape)
    problems += faults
    problems += _seat_lists(document, shape, seats)
    plans, faults = _plans(document, shape, len(seats))
    problems += faults
    blocks = tuple(plan for plan in plans if plan is not None)
    faults = list(_addresses(document, shape, plans))
    problems += faults
    if faults or not seats or plans[0] is None or (shape.seats.addresses6 and plans[1] is None):
        return RoomFile(document, None, blocks), problems
    hosts = tuple(_hosts(shape, seats, plans[0], plans[1]))
    room = Room(
        id=shape.room,
        name=text(shape.name),
        campus=shape.campus,
        building=shape.building,
        kind=shape.kind,
        keeper=shape.keeper,
        profile=shape.profile,
        os=shape.os,
        hosts=hosts,
        per_row=shape.seats.per_row,
    )
    return RoomFile(document, room, blocks), problems


def _references(
    document: Document, shape: RoomShape, site: SiteShape | None, people: PeopleShape | None
) -> Iterator[Problem]:
    if site is not None:
        yield from _known(document, ("campus",), shape.campus, site.campuses)
        yield from _known(document, ("building",), shape.building, site.buildings)
        yield from _known(document, ("profile",), shape.profile, site.profiles)
        yield from _known(document, ("os",), shape.os, site.systems)
        for seat, difference in shape.differences.items():
            if difference.profile is not None:
                yield from _known(document, ("differences", seat, "profile"), difference.profile, site.profiles)
            if difference.os is not None:
                yield from _known(document, ("differences", seat, "os"), difference.os, site.systems)
        building = site.buildings.get(shape.building)
        if building is not None and shape.campus in site.campuses and building.campus != shape.campus:
            what = f"building {shape.building!r} stands on campus {building.campus!r}, not {shape.campus!r}"
            yield document.problem(("building",), what, "Put the campus or the building right")
    if people is not None:
        yield from _known(document, ("keeper",), shape.keeper, people.people)
        keeper = people.people.get(shape.keeper)
        if keeper is not None and not keeper.keep:
            yield document.problem(("keeper",), f"{shape.keeper!r} keeps no rooms", "Set keep: true in people.yml")


def _known(document: Document, path: tuple[object, ...], word: str, known: Container[str]) -> Iterator[Problem]:
    if word not in known:
        names = list(known) if isinstance(known, dict) else []
        yield document.problem(path, f"unknown {path[-1]} {word!r}", did_you_mean(word, names))


def _seats(document: Document, shape: RoomShape) -> tuple[range, list[Problem]]:
    """The seat numbers, and whether they make names that DNS allows."""
    first, last = (int(number) for number in shape.seats.range.split("-"))
    if first > last:
        what = f"the seat range runs backwards: {shape.seats.range}"
        return range(0), [document.problem(("seats", "range"), what, f"Write {last}-{first}")]
    problems = []
    # Only the digits differ between the seats of a room, so the longest name tells of all.
    name = host_name(shape.seats.name, last)
    if len(name) > LONGEST_LABEL or name[0] == "-" or name[-1] == "-" or not re.search("[a-z]", name):
        what = f"{name!r} is a name that DNS does not allow for a host"
        fix = f"At most {LONGEST_LABEL} characters, a letter in it, no - at either end. {HOST_NAME.fix}"
        problems.append(document.problem(("seats", "name"), what, fix))
    return range(first, last + 1), problems


def host_name(pattern: str, seat: int) -> str:
    """`a301-##` and 7 make `a301-07`."""
    before, marks, after = re.split("(#+)", pattern)
    return f"{before}{seat:0{len(marks)}d}{after}"


def _seat_lists(document: Document, shape: RoomShape, seats: range) -> Iterator[Problem]:
    if not seats:
        return
    fix = f"Seats are {shape.seats.range}"
    for seat in shape.differences:
        if seat not in seats:
            yield document.problem(("differences", seat), f"a difference for seat {seat}, outside the range", fix)
    seen = set()
    for at, seat in enumerate(shape.canary):
        if seat not in seats:
            yield document.problem(("canary", at), f"canary seat {seat} is outside the range", fix)
        if seat in seen:
            yield document.problem(("canary", at), f"canary seat {seat} stands twice", "Remove one")
        seen.add(seat)


def _plans(
    document: Document, shape: RoomShape, seats: int
) -> tuple[tuple[AddressPlan | None, AddressPlan | None], list[Problem]]:
    plans: list[AddressPlan | None] = []
    problems = []
    for key, make, addresses in (
        ("addresses", plan4, shape.seats.addresses),
        ("addresses6", plan6, shape.seats.addresses6),
    ):
        plan = None
        if addresses is not None:
            try:
                made = make(addresses.block, addresses.first)
                made.check_seats(max(seats, 1))
                plan = made
            except AddressError as error:
                problems.append(document.problem(("seats", key, error.field), error.what, error.fix))
        plans.append(plan)
    return (plans[0], plans[1]), problems


def _addresses(
    document: Document, shape: RoomShape, plans: tuple[AddressPlan | None, AddressPlan | None]
) -> Iterator[Problem]:
    """The single seats' own addresses."""
    for seat, difference in shape.differences.items():
        if difference.mac and (int(difference.mac[:2], 16) & 1 or difference.mac == NO_MAC):
            what = f"{difference.mac} is no machine's MAC address"
            yield document.problem(("differences", seat, "mac"), what, "Copy it from the machine or its label")
        if difference.address6 and shape.seats.addresses6 is None:
            what = f"{difference.address6} without a block of the room"
            yield document.problem(("differences", seat, "address6"), what, "Write seats.addresses6")
        for field, address, number, plan in (
            ("address", difference.address, number4, plans[0]),
            ("address6", difference.address6, number6, plans[1]),
        ):
            if address is None or plan is None:
                continue
            path = ("differences", seat, field)
            try:
                refusal = plan.refusal(number(address, field))
            except AddressError as error:
                yield document.problem(path, error.what, error.fix)
                continue
            if refusal:
                yield document.problem(path, f"{address} is {refusal}", "Take a free address of the block")


def _hosts(shape: RoomShape, seats: range, plan: AddressPlan, plan_6: AddressPlan | None) -> Iterator[Host]:
    differences = shape.differences
    before, marks, after = re.split("(#+)", shape.seats.name)
    width = len(marks)
    canaries = frozenset(shape.canary)
    for index, seat in enumerate(seats):
        own = differences.get(seat, NO_DIFFERENCE)
        address6 = plan_6.of(index) if plan_6 else ""
        yield Host(
            name=f"{before}{seat:0{width}d}{after}",
            room=shape.room,
            seat=seat,
            address=own.address or plan.of(index),
            address6=str(IPv6Address(own.address6)) if own.address6 else address6,
            mac=own.mac or "",
            asset=own.asset or "",
            os=own.os or shape.os,
            profile=own.profile or shape.profile,
            canary=seat in canaries,
            out_of_order=own.out_of_order or "",
        )
