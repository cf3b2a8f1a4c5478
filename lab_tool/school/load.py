"""Reads a whole inventory, or refuses it whole with everything that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab_tool.school.ansible_view import group_names
from lab_tool.school.check import check_log, check_rooms, check_site
from lab_tool.school.explain import fit
from lab_tool.school.files import read_document, room_files
from lab_tool.school.model import LogPolicy, Person, School, SecondPlace, System
from lab_tool.school.people import check_people, make_keys, make_people
from lab_tool.school.problem import InventoryError, Problem
from lab_tool.school.rooms import RoomFile, make_room, text
from lab_tool.school.shapes import LogOnlyShape, LogShape, PeopleShape, RoomShape, SiteShape
from lab_tool.school.vars_files import check_other_files
from lab_tool.settings import PROJECT


def load_school(inventory: Path) -> School:
    """The school in the folder `inventory`: `site.yml`, `people.yml` and `rooms/<room>.yml`.

    Raises `InventoryError`, which holds all problems of all files.
    """
    label = _label(inventory)
    site_document, problems = read_document(inventory / "site.yml", f"{label}/site.yml")
    people_document, faults = read_document(inventory / "people.yml", f"{label}/people.yml")
    problems += faults
    site = people = None
    if site_document:
        site, faults = fit(site_document, SiteShape)
        problems += faults
        problems += check_site(site_document, site) if site else ()
    if people_document:
        people, faults = fit(people_document, PeopleShape)
        problems += faults
    rooms, names, faults = _rooms(inventory / "rooms", f"{label}/rooms", site, people)
    problems += faults
    problems += check_rooms(rooms)
    if people_document and people:
        problems += check_people(people_document, people, names)
    problems += check_other_files(inventory, label, _groups(site, names))
    if problems or site is None or people is None:
        raise InventoryError(problems)
    return _school(site, make_people(people, names), rooms)


def load_log_policy(inventory: Path) -> LogPolicy:
    """What `site.yml` says of the log, and nothing else: a fault in a room must keep nobody from verifying the log.

    Raises `InventoryError`.
    """
    document, problems = read_document(inventory / "site.yml", f"{_label(inventory)}/site.yml")
    if document:
        alone = replace(document, data={"log": document.data["log"]} if "log" in document.data else {})
        site, faults = fit(alone, LogOnlyShape)
        problems += faults
        problems += check_log(document, site.log) if site else ()
        if site and not problems:
            return _log_policy(site.log)
    raise InventoryError(problems)


def load_people(inventory: Path) -> tuple[dict[str, Person], str]:
    """The people, whose grants name no rooms here, and the school's time zone: without reading a single room.

    Raises `InventoryError`.
    """
    label = _label(inventory)
    site_document, problems = read_document(inventory / "site.yml", f"{label}/site.yml")
    document, faults = read_document(inventory / "people.yml", f"{label}/people.yml")
    problems += faults
    site, faults = fit(site_document, SiteShape) if site_document else (None, [])
    problems += faults
    people, faults = fit(document, PeopleShape) if document else (None, [])
    problems += faults
    if document and people:
        problems += check_people(document, people, None)
    if problems or site is None or people is None:
        raise InventoryError(problems)
    return make_people(people, ()), site.time_zone


def _label(inventory: Path) -> str:
    """The folder as a person would type it in the project's folder."""
    full = inventory.absolute()
    return str(full.relative_to(PROJECT)) if full.is_relative_to(PROJECT) else str(full)


def _rooms(
    folder: Path, label: str, site: SiteShape | None, people: PeopleShape | None
) -> tuple[list[RoomFile], list[str], list[Problem]]:
    """The rooms, the ids of all room files (also of those with problems), and the problems."""
    files, problems = room_files(folder, label)
    rooms = []
    for file in files:
        document, faults = read_document(folder / file, f"{label}/{file}")
        problems += faults
        if document is None:
            continue
        shape, faults = fit(document, RoomShape)
        problems += faults
        if shape is None:
            continue
        room, faults = make_room(document, shape, site, people)
        problems += faults
        rooms.append(room)
    if not files and not problems:
        problems.append(Problem(label, 0, "no rooms", "Write the first, <room>.yml"))
    return rooms, [file.removesuffix(".yml") for file in files], problems


def _groups(site: SiteShape | None, rooms: list[str]) -> frozenset[str] | None:
    if site is None:
        return None
    return group_names(
        campuses=site.campuses, buildings=site.buildings, profiles=site.profiles, systems=site.systems, rooms=rooms
    )


def _school(site: SiteShape, people: dict[str, Person], rooms: list[RoomFile]) -> School:
    return School(
        name=text(site.school),
        time_zone=site.time_zone,
        rooms={room.room.id: room.room for room in rooms if room.room},
        people=people,
        log=_log_policy(site.log),
        campuses={name: text(shape) for name, shape in site.campuses.items()},
        buildings={name: text(shape.name) for name, shape in site.buildings.items()},
        profiles={name: text(shape) for name, shape in site.profiles.items()},
        systems={name: System(text(shape), shape.connection) for name, shape in site.systems.items()},
        limits=site.limits,
    )


def _log_policy(log: LogShape) -> LogPolicy:
    places = tuple(SecondPlace(kind, target) for place in log.second_places for kind, target in place.targets())
    return LogPolicy(log.origin, make_keys(log.keys), places, log.max_checkpoint_age_days)
