"""`lab rooms`: the rooms, one room's seat map, and whether the inventory is in order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.school.load import load_school
from lab_tool.school.model import Host, Person, Room, School, Text
from lab_tool.school.overview import Mark, Seat, seat_rows, summaries
from lab_tool.school.problem import NEXT_COMMAND, InventoryError
from lab_tool.school.select import find_room
from lab_tool.settings import Settings

# ASCII: terminals disagree on the width of symbols where text is Chinese.
MARKS: Mapping[Mark, tuple[str, str]] = {
    "out_of_order": ("x", "red"),
    "canary": ("*", "yellow"),
    "differs": ("+", "cyan"),
}


@click.group(invoke_without_command=True)
@click.pass_context
@output_options
def rooms(context: click.Context, out: Output) -> None:
    """The rooms of the school, their keepers and their machines.

    \b
    Examples:
      lab rooms                 every room in one line
      lab rooms show a301       one room's seat map
      lab rooms check           is the inventory in order?
      lab rooms --json          the list for a program
    """
    if context.invoked_subcommand is not None:
        return
    school = _school()
    rows = summaries(school)
    out.result("rooms", [asdict(row) for row in rows])
    columns = ("room", "name", "kind", "campus", "keeper", "seats", "canaries", "out_of_order")
    out.table(
        [out.say("rooms", column) for column in columns],
        [
            (
                row.id,
                _in(out, row.name),
                out.say("rooms", f"kind_{row.kind}"),
                _in(out, school.campuses[row.campus]),
                _person(out, school.people[row.keeper]),
                str(row.seats),
                str(row.canaries or ""),
                str(row.out_of_order or ""),
            )
            for row in rows
        ],
    )
    out.line(
        out.say(
            "rooms",
            "total",
            rooms=len(rows),
            seats=sum(row.seats for row in rows),
            out_of_order=sum(row.out_of_order for row in rows),
        )
    )


@rooms.command()
@click.argument("room", metavar="ROOM")
@output_options
def show(room: str, out: Output) -> None:
    """Draw one room's seats as they stand, and say what is special about any of them.

    \b
    Examples:
      lab rooms show a301
      lab rooms show a301 --json      every host with its address, MAC, asset number, system and profile
    """
    school = _school()
    found = find_room(school, room)
    out.result("room", {**asdict(found), "keeper_name": asdict(school.people[found.keeper].name)})
    for line in _seat_map(out, school, found):
        out.line(line)


@rooms.command()
@output_options
def check(out: Output) -> None:
    """Read the whole inventory and show everything that is wrong with it, file by file and line by line.

    \b
    Example:
      lab rooms check

    Exit code 0: in order. 2: refused; nothing of it is used, by `lab` or by Ansible, until it is put right.
    """
    try:
        school = _school()
    except InventoryError as error:
        out.result("rooms.check", {"sound": False, "problems": [asdict(problem) for problem in error.problems]})
        for problem in error.problems:
            out.note(str(problem))
        out.note(out.say("rooms", "refused", problems=len(error.problems)))
        out.note(f"{out.say('common', 'run_next')}: {NEXT_COMMAND}")
        raise SystemExit(error.exit_code) from error
    counts = {
        "rooms": len(school.rooms),
        "hosts": sum(len(room.hosts) for room in school.rooms.values()),
        "people": len(school.people),
    }
    out.result("rooms.check", {"sound": True, "problems": [], **counts})
    out.line(out.say("rooms", "sound", **counts), colour="green")


def _school() -> School:
    return load_school(Settings.from_environment(os.environ).inventory)


def _in(out: Output, text: Text) -> str:
    return text.zh if out.language == "zh" else text.en


def _person(out: Output, person: Person) -> str:
    return f"{_in(out, person.name)} ({person.id})"


def _seat_map(out: Output, school: School, room: Room) -> list[str]:
    rows = seat_rows(room)
    digits = len(str(room.hosts[-1].seat))
    room_for_marks = max(1, *(len(seat.marks) for row in rows for seat in row))
    drawn = [[_cell(seat, digits, room_for_marks) for seat in row] for row in rows]
    width = len(click.unstyle(" ".join(drawn[0])))
    lines = [click.style(f"{room.id}  {_in(out, room.name)}", bold=True), *_heading(out, school, room), ""]
    lines += [f"  {out.say('rooms', 'front').center(width).rstrip()}", f"  {'-' * width}"]
    lines += [f"  {' '.join(row)}" for row in drawn]
    used = {mark for row in rows for seat in row for mark in seat.marks}
    legend = [out.say("rooms", f"mark_{mark}") for mark in MARKS if mark in used]
    special = [seat for row in rows for seat in row if seat.marks - {"canary"}]
    lines += ["", f"  {'   '.join(legend)}"] if legend else []
    lines += (
        ["", *(f"  {seat.host.name}  {_note(out, school, room, seat.host)}" for seat in special)] if special else []
    )
    return lines


def _heading(out: Output, school: School, room: Room) -> list[str]:
    names: Mapping[str, Any] = {
        "campus": _in(out, school.campuses[room.campus]),
        "building": _in(out, school.buildings[room.building]),
        "kind": out.say("rooms", f"kind_{room.kind}"),
        "keeper": _person(out, school.people[room.keeper]),
        "seats": len(room.hosts),
        "system": _in(out, school.systems[room.os].name),
        "profile": _in(out, school.profiles[room.profile]),
        "addresses": f"{room.hosts[0].address} - {room.hosts[-1].address}",
    }
    return [out.say("rooms", "place", **names), out.say("rooms", "machines", **names)]


def _cell(seat: Seat, digits: int, room_for_marks: int) -> str:
    """`[07*]`, in the colour of its first mark."""
    marks = [MARKS[mark] for mark in MARKS if mark in seat.marks]
    text = f"[{seat.host.seat:0{digits}d}{''.join(sign for sign, _ in marks):<{room_for_marks}}]"
    return click.style(text, fg=marks[0][1]) if marks else text


def _note(out: Output, school: School, room: Room, host: Host) -> str:
    notes = [
        host.out_of_order,
        _in(out, school.systems[host.os].name) if host.os != room.os else "",
        _in(out, school.profiles[host.profile]) if host.profile != room.profile else "",
    ]
    return ", ".join(note for note in notes if note)
