"""What must hold over the whole school: names, addresses, MACs and asset numbers are one host's, blocks one room's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from lab_tool.rules.limits import LIMITS
from lab_tool.school.files import Document
from lab_tool.school.model import Host
from lab_tool.school.people import check_keys
from lab_tool.school.problem import Problem, did_you_mean
from lab_tool.school.rooms import RoomFile
from lab_tool.school.shapes import LogShape, SiteShape


class Place(NamedTuple):
    """A host and the file it stands in."""

    host: Host
    document: Document


class Unique(NamedTuple):
    """A value that no two hosts share: how to say so, where it may stand, how to put it right."""

    value: Callable[[Host], str]
    words: str
    own: str
    common: tuple[str, ...]
    fix: str


UNIQUE = (
    Unique(lambda host: host.name, "two hosts named {value}", "", ("seats", "name"), "Change one room's name pattern"),
    Unique(
        lambda host: host.address, "two hosts at {value}", "address", ("seats", "addresses"), "Give one another address"
    ),
    Unique(
        lambda host: host.address6,
        "two hosts at {value}",
        "address6",
        ("seats", "addresses6"),
        "Give one another address",
    ),
    Unique(lambda host: host.mac, "two hosts with MAC {value}", "mac", (), "Read it off both machines"),
    # 'it-7' and 'IT-7' are one label on a case.
    Unique(
        lambda host: host.asset.upper(), "two hosts with asset number {value}", "asset", (), "Read it off both machines"
    ),
)


def check_site(document: Document, site: SiteShape) -> Iterator[Problem]:
    """What `site.yml` says of itself."""
    for name, building in site.buildings.items():
        if building.campus not in site.campuses:
            fix = did_you_mean(building.campus, site.campuses)
            yield document.problem(("buildings", name, "campus"), f"unknown campus {building.campus!r}", fix)
    if not _is_time_zone(site.time_zone):
        what, fix = f"unknown time zone {site.time_zone!r}", "Such as Asia/Shanghai"
        if not available_timezones():
            what, fix = "this machine knows no time zones", "Run: apt-get install tzdata"
        yield document.problem(("time_zone",), what, fix)
    for name in site.limits:
        if name not in LIMITS:
            yield document.problem(("limits", name), f"no limit is named {name!r}", did_you_mean(name, LIMITS))
    yield from check_log(document, site.log)


def check_log(document: Document, log: LogShape) -> Iterator[Problem]:
    """What `site.yml` says of the log."""
    yield from check_keys(document, ("log", "keys"), log.keys, "the log", {})
    for at, place in enumerate(log.second_places):
        if len(place.targets()) != 1:
            what = "a second place is exactly one of folder, git, mail, witness"
            yield document.problem(("log", "second_places", at), what, "One list item for each place")


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def check_rooms(rooms: Sequence[RoomFile]) -> list[Problem]:
    """Everything that two rooms can't both have."""
    return [*_twice(rooms), *_overlaps(rooms)]


def _twice(rooms: Sequence[RoomFile]) -> Iterator[Problem]:
    """One message for each two rooms and kind of value: a wrong name pattern makes forty of them."""
    places = [Place(host, file.document) for file in rooms if file.room for host in file.room.hosts]
    for unique in UNIQUE:
        value = unique.value
        first: dict[str, int] = {}
        clashes: dict[tuple[str, str], list[tuple[Place, Place]]] = {}
        for at, place in enumerate(places):
            key = value(place.host)
            other = first.setdefault(key, at) if key else at
            if other != at:
                pair = (places[other], place)
                clashes.setdefault((pair[0].document.file, pair[1].document.file), []).append(pair)
        for pairs in clashes.values():
            yield _clash(unique, *pairs[0], len(pairs) - 1)


def _clash(unique: Unique, one: Place, other: Place, more: int) -> Problem:
    names = f"{one.host.name}, {other.host.name}"
    if one.host.name == other.host.name:
        names = ", ".join(f"seat {host.seat} in {document.file.rpartition('/')[2]}" for host, document in (one, other))
    what = f"{unique.words.format(value=unique.value(one.host))} ({names})" + (f" and {more} more" if more else "")
    # Where a value was written for one seat, that is the line to look at; else the later of the two rooms.
    for host, document in (other, one):
        if unique.own in document.data.get("differences", {}).get(host.seat, {}):
            return document.problem(("differences", host.seat, unique.own), what, unique.fix)
    return other.document.problem(unique.common, what, unique.fix)


def _overlaps(rooms: Sequence[RoomFile]) -> Iterator[Problem]:
    for version, key in ((4, "addresses"), (6, "addresses6")):
        blocks = sorted(
            (block.lowest, block.highest, at)
            for at, room in enumerate(rooms)
            for block in room.blocks
            if block.version == version
        )
        # The block that reaches farthest so far, and whose it is.
        farthest, owner = -1, -1
        for lowest, highest, at in blocks:
            if lowest <= farthest:
                one, other = sorted((owner, at))
                text = next(block.text for block in rooms[other].blocks if block.version == version)
                what = f"block {text} overlaps the one in {rooms[one].document.file}"
                yield rooms[other].document.problem(("seats", key, "block"), what, "Give each room a block of its own")
            if highest > farthest:
                farthest, owner = highest, at
