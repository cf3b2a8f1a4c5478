"""What the inventory of rooms costs: `ansible-inventory --list` on 1,000 rooms x 40 seats, beside a static inventory.

    python -m tests.bench.bench_inventory [--rooms N] [--pairs N]

The static YAML file holds the same hosts, groups and variables in the layout that is cheapest for it: rooms as children
of buildings, kinds, systems and profiles; what a group shares is written once, as the group's variable; a host has only
what is its own. Its twin, in which every host has all of its variables (what an export holds), is measured as well.
Before anything is timed, the three answers are compared: every group's hosts, and every host's variables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab_tool.school.load import load_school
from lab_tool.school.model import Host, Room, School
from lab_tool.settings import PROJECT
from tests.bench.measure import HEADINGS, Cost, cost, ratio

SEATS = 40
CAMPUSES, BUILDINGS = 4, 40
HEAD = """plugin: lab_rooms
school: {zh: 大学校, en: Large school}
time_zone: Asia/Shanghai
profiles: {student: {zh: 学生机, en: Student PC}, teacher: {zh: 教师机, en: Teacher PC}}
systems: {debian12: {zh: Debian 12, en: Debian 12}, ubuntu2404: {zh: Ubuntu 24.04, en: Ubuntu 24.04}}
log: {origin: school.example/lab-log}
"""
PEOPLE = "people: {li_ming: {name: {zh: 李明, en: Li Ming}, keep: true}}\n"
SHARED = {"lab_canary": False, "lab_out_of_order": "", "lab_mac": "", "lab_asset": ""}


def write_rooms(folder: Path, rooms: int) -> None:
    """Rooms; each seat has MAC and asset number; some rooms have a teacher's PC, one out of order."""
    (folder / "rooms").mkdir(parents=True)
    campuses = ", ".join(f"c{n}: {{zh: 校区{n}, en: Campus {n}}}" for n in range(CAMPUSES))
    buildings = ", ".join(
        f"h{n}: {{name: {{zh: 楼{n}, en: House {n}}}, campus: c{n % CAMPUSES}}}" for n in range(BUILDINGS)
    )
    site = f"{HEAD}campuses: {{{campuses}}}\nbuildings: {{{buildings}}}\n"
    (folder / "site.yml").write_text(site, encoding="utf-8")
    (folder / "people.yml").write_text(PEOPLE, encoding="utf-8")
    for number in range(rooms):
        (folder / "rooms" / f"r{number:04d}.yml").write_text("\n".join(_room_lines(number)) + "\n", encoding="utf-8")


def _room_lines(number: int) -> Iterator[str]:
    building = number % BUILDINGS
    yield f"room: r{number:04d}"
    yield f"name: {{zh: 机房 {number}, en: Lab {number}}}"
    yield f"campus: c{building % CAMPUSES}"
    yield f"building: h{building}"
    yield "kind: computer_lab"
    yield "keeper: li_ming"
    yield "profile: student"
    yield f"os: {'ubuntu2404' if number % 3 == 0 else 'debian12'}"
    yield "seats:"
    yield f"  range: 1-{SEATS}"
    yield f"  name: r{number:04d}-##"
    yield f"  addresses: 10.{number // 200}.{number % 200}.0/26"
    yield "canary: [1, 2]"
    yield "differences:"
    for seat in range(1, SEATS + 1):
        mac = f"02:00:{number >> 8:02x}:{number & 255:02x}:00:{seat:02x}"
        own = f'mac: "{mac}", asset: A{number:04d}-{seat:02d}'
        if number % 10 == 0 and seat == SEATS:
            own += ", profile: teacher"
        if number % 10 == 0 and seat == 13:
            own += ", out_of_order: monitor at repair"
        yield f"  {seat}: {{{own}}}"


def write_static(path: Path, school: School, *, flat: bool) -> None:
    """The same as one static YAML inventory; `flat` writes all variables at each host, none at groups."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _static_lines(school, flat))


def _static_lines(school: School, flat: bool) -> Iterator[str]:
    rooms = list(school.rooms.values())

    def variables(indent: int, **values: object) -> Iterator[str]:
        if not flat:
            yield f"{' ' * indent}vars: {_flow(values)}"

    yield "all:"
    yield from variables(2, **SHARED)
    yield "  children:"
    for campus in school.campuses:
        yield f"    campus_{campus}:"
        yield from variables(6, lab_campus=campus)
        yield "      children:"
        for building in dict.fromkeys(room.building for room in rooms if room.campus == campus):
            yield f"        building_{building}:"
            yield from variables(10, lab_building=building)
            yield "          children:"
            for room in rooms:
                if room.building == building:
                    yield f"            room_{room.id}:"
                    yield from variables(14, lab_room=room.id)
                    yield "              hosts:"
                    for host in room.hosts:
                        yield f"                {host.name}: {_flow(_own(host) | (_of(room, host) if flat else {}))}"
    yield "    kind_computer_lab:"
    yield from variables(6, lab_kind="computer_lab")
    yield "      children:"
    yield from (f"        room_{room.id}:" for room in rooms)
    for word, names in (("os", school.systems), ("profile", school.profiles)):
        for name in names:
            yield from _sort_of_hosts(rooms, word, name, variables(6, **{f"lab_{word}": name}))
    yield "    ring_canary:"
    yield from variables(6, lab_canary=True)
    yield "      hosts:"
    yield from (f"        {host.name}:" for room in rooms for host in room.hosts if host.canary)


def _sort_of_hosts(rooms: list[Room], word: str, name: str, variables: Iterator[str]) -> Iterator[str]:
    """Rooms that are of that system or profile as a whole are children, the hosts of mixed ones are listed."""
    whole = [room.id for room in rooms if {getattr(host, word) for host in room.hosts} == {name}]
    single = [
        host.name for room in rooms if room.id not in set(whole) for host in room.hosts if getattr(host, word) == name
    ]
    yield f"    {word}_{name}:"
    yield from variables
    if whole:
        yield "      children:"
        yield from (f"        room_{room}:" for room in whole)
    if single:
        yield "      hosts:"
        yield from (f"        {host}:" for host in single)


def _own(host: Host) -> dict[str, object]:
    """What only this host has."""
    own: dict[str, object] = {"ansible_host": host.address, "lab_seat": host.seat}
    more = {"lab_mac": host.mac, "lab_asset": host.asset, "lab_out_of_order": host.out_of_order}
    return own | {name: value for name, value in more.items() if value}


def _of(room: Room, host: Host) -> dict[str, object]:
    """What the host has from its groups."""
    shared = {"lab_room": room.id, "lab_campus": room.campus, "lab_building": room.building, "lab_kind": room.kind}
    of_sort = {"lab_os": host.os, "lab_profile": host.profile, "lab_canary": host.canary}
    return shared | of_sort | {name: value for name, value in SHARED.items() if name not in _own(host)} | of_sort


def _flow(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _command(source: Path) -> tuple[list[str], dict[str, str]]:
    argv = [sys.executable, "-m", "ansible", "inventory", "-i", str(source), "--list"]
    plugin = "lab_rooms" if source.name == "site.yml" else "yaml"
    return argv, {**os.environ, "ANSIBLE_INVENTORY_ENABLED": plugin}


def _answer(source: Path) -> dict[str, Any]:
    """Groups with their hosts, sorted, and hosts' variables, without Ansible's mark for text that is no template."""
    argv, env = _command(source)
    done = subprocess.run(argv, env=env, cwd=PROJECT, capture_output=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout, object_hook=lambda item: item.get("__ansible_unsafe", item))
    meta = said.pop("_meta")
    groups = {name: {part: sorted(names) for part, names in group.items()} for name, group in said.items()}
    for group in groups.values():
        group["children"] = [name for name in group.get("children", []) if name in groups]
    return {"groups": groups, "hostvars": meta["hostvars"]}


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=1000, help=f"rooms of {SEATS} seats (default 1000)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each, in turn (default 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rooms(folder / "rooms", options.rooms)
        school = load_school(folder / "rooms")
        sources = {"rooms": folder / "rooms" / "site.yml", "static": folder / "static.yml", "flat": folder / "flat.yml"}
        write_static(sources["static"], school, flat=False)
        write_static(sources["flat"], school, flat=True)
        expected = _answer(sources["rooms"])
        for other in ("static", "flat"):
            if _answer(sources[other]) != expected:
                raise SystemExit(f"{other}: not the same hosts, groups and variables")
        spent: dict[str, list[Cost]] = {way: [] for way in sources}
        for _ in range(options.pairs):
            for way, source in sources.items():
                argv, env = _command(source)
                spent[way].append(cost(argv, env=env, cwd=PROJECT))
    _print(spent, options.rooms, options.pairs)


def _print(spent: dict[str, list[Cost]], rooms: int, pairs: int) -> None:
    print(f"{rooms} rooms x {SEATS} seats, ansible-inventory --list, {pairs} pairs\n\n{HEADINGS}")
    for way, goals in (("static", ("0.50", "", "1.00")), ("flat", ("", "", ""))):
        for what, unit, goal in zip(("wall", "cpu", "memory"), ("s", "s", "MiB"), goals, strict=True):
            ours, theirs = ([getattr(each, what) for each in spent[source]] for source in ("rooms", way))
            print(ratio(ours, theirs).row(f"{what}, against {way}", unit, goal))


if __name__ == "__main__":
    main()
