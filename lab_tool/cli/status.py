"""`lab status`: how rooms and machines stand, from the log and the inventory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.log.text import plain
from lab_tool.rules import VERBS
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.status import Cause, Level, Seat
    from lab_tool.school.model import Room, School

COLOURS = {"red": "red", "yellow": "yellow", "ok": "green", "out_of_order": "bright_black"}
LEVELS: tuple[Level, ...] = ("red", "yellow", "ok", "out_of_order")
# What is the matter, in a letter: a capital where it is serious. Letters, since not everybody sees the colours.
VERB_LETTERS = {"patch": "p", "virus_scan": "s", "backup": "b", "drift": "d", "admin_password": "w"}
LETTERS = {"ended": "f", "control": "l", "undone": "l", "quarantine": "q", "found": "d", "shown": "w"}
OUT_OF_ORDER, WELL = "x", "."


@click.command()
@click.option("--room", "rooms", multiple=True, help="A room's seat map; may be repeated.")
@click.option("--host", default="", help="Everything about one machine.")
@output_options
def status(rooms: tuple[str, ...], host: str, out: Output) -> None:
    """Show what is overdue, went wrong or was found, seat by seat. What was rehearsed (but for drift) or
    run outside procedure counts for nothing.

    How old a result may be: limits in inventory/site.yml, and lab_tool/rules/limits.yml. Beyond, a seat is yellow;
    beyond twice as long, or where there is no result at all, it is red.

    \b
    Examples:
      lab status                      every room in one line
      lab status --room a301          its seat map, and a line a seat
      lab status --host a301-07       one machine: ages, findings, quarantine, waivers
      lab status --room a301 --json
    """
    from lab_tool.core.status import statuses
    from lab_tool.school.load import load_school
    from lab_tool.school.select import find_room, select_hosts

    if rooms and host:
        raise UsageError("--room or --host, not both", next_command="lab status --help")
    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    named = (select_hosts(school, (), (host,))[0].room,) if host else rooms
    chosen = [find_room(school, name) for name in dict.fromkeys(named)] or list(school.rooms.values())
    seats = statuses(settings, school, chosen, utc_now())
    if host:
        (seat,) = (seat for seat in seats[chosen[0].id] if seat.host.name == host)
        out.result("status.host", as_json(seat))
        render_host(school, seat, out)
        return
    out.result("status", [{"room": room.id, "seats": [as_json(seat) for seat in seats[room.id]]} for room in chosen])
    if not named:
        render_rooms(chosen, seats, out)
        return
    for room in chosen:
        render_room(room, seats[room.id], out)


def render_rooms(rooms: Sequence[Room], seats: Mapping[str, Sequence[Seat]], out: Output) -> None:
    """A line a room."""
    columns = [out.say("rooms", "room"), out.say("rooms", "name"), *(out.say("status", level) for level in LEVELS)]
    rows = []
    for room in rooms:
        counts = Counter(seat.level for seat in seats[room.id])
        rows.append((room.id, _in(out, room.name), *(str(counts[level] or "") for level in LEVELS)))
    out.table(columns, rows)
    out.line(out.say("status", "next"))


def render_room(room: Room, seats: Sequence[Seat], out: Output) -> None:
    """The seats as they stand in the room, and a line for each."""
    counts = Counter(seat.level for seat in seats)
    told = ", ".join(f"{counts[level]} {out.say('status', level)}" for level in LEVELS if counts[level])
    out.line(f"{room.id}  {_in(out, room.name)}: {told}", bold=True)
    digits = len(str(seats[-1].host.seat))
    cells = [_cell(seat, digits) for seat in seats]
    rows = [cells[at : at + room.per_row] for at in range(0, len(cells), room.per_row)]
    width = len(click.unstyle(" ".join(rows[0])))
    out.line(f"\n  {out.say('rooms', 'front').center(width).rstrip()}\n  {'-' * width}")
    for row in rows:
        out.line(f"  {' '.join(row)}")
    out.line(f"\n  {out.say('status', 'legend')}\n  {out.say('status', 'legend_case')}\n")
    verbs = list(dict.fromkeys(verb for seat in seats for verb in seat.ages))
    columns = [
        out.say("run", "host"),
        *(out.say("status", f"verb_{verb}") for verb in verbs),
        out.say("status", "what"),
    ]
    out.table(
        columns, [(seat.host.name, *(_age(seat, verb, out) for verb in verbs), _why(seat, out)) for seat in seats]
    )


def render_host(school: School, seat: Seat, out: Output) -> None:
    """One machine: what is the matter, ages against limits, findings, quarantine, waivers."""
    from lab_tool.core.status import days_allowed

    out.line(f"{seat.host.name}  {out.say('status', seat.level)}", colour=COLOURS[seat.level], bold=True)
    if seat.host.out_of_order:
        out.line(seat.host.out_of_order)
    for cause in seat.causes:
        out.line(f"- {say_cause(cause, out)}", colour=COLOURS[cause.level])
    columns = [out.say("status", word) for word in ("verb", "days", "limit")]
    limits = days_allowed(school, seat.host)
    rows = [(out.say("status", f"verb_{verb}"), _age(seat, verb, out), str(limits[verb])) for verb in seat.ages]
    out.table(columns, rows)
    if seat.findings:
        from lab_tool.cli.drift import COLUMNS, row

        columns = [out.say("drift", f"column_{name}") for name in COLUMNS]
        out.table(columns, [row(each, out) for each in seat.findings])
    _render_values("quarantine", seat.quarantine, out)
    _render_values("waivers", seat.waivers, out)


def say_cause(cause: Cause, out: Output) -> str:
    """`patch 45 days ago`, `virus scan failed`."""
    verb = _in(out, VERBS[cause.verb].name)
    outcome = out.say("run", cause.text) if cause.text else ""
    return out.say("status", f"cause_{cause.what}", verb=verb, days=cause.days, count=cause.count, outcome=outcome)


def as_json(seat: Seat) -> dict[str, Any]:
    """A seat for `--json`."""
    return {
        "host": seat.host.name,
        "seat": seat.host.seat,
        "level": seat.level,
        "out_of_order": seat.host.out_of_order,
        "causes": [asdict(cause) for cause in seat.causes],
        "ages": dict(seat.ages),
        "findings": [dict(each) for each in seat.findings],
        "quarantine": [dict(each) for each in seat.quarantine],
        "waivers": [dict(each) for each in seat.waivers],
    }


def letter(seat: Seat) -> str:
    """The worst that is the matter with it."""
    if seat.level == "out_of_order":
        return OUT_OF_ORDER
    if not seat.causes:
        return WELL
    cause = seat.causes[0]
    small = LETTERS.get(cause.what) or VERB_LETTERS.get(cause.verb, "?")
    return small.upper() if cause.level == "red" else small


def _cell(seat: Seat, digits: int) -> str:
    """`[07P]`, in the colour of its level."""
    return click.style(f"[{seat.host.seat:0{digits}d}{letter(seat)}]", fg=COLOURS[seat.level])


def _age(seat: Seat, verb: str, out: Output) -> str:
    if verb not in seat.ages:
        return ""
    days = seat.ages[verb]
    return out.say("status", "never") if days is None else str(days)


def _why(seat: Seat, out: Output) -> str:
    if seat.host.out_of_order:
        return seat.host.out_of_order
    # What was never done stands in its column already.
    return "; ".join(say_cause(cause, out) for cause in seat.causes if cause.what not in ("never", "late"))


def _render_values(what: str, values: Sequence[Mapping[str, Any]], out: Output) -> None:
    if values:
        out.line(out.say("status", what), bold=True)
    for each in values:
        out.line("  " + plain("  ".join(f"{key}={value}" for key, value in each.items())))


def _in(out: Output, text: Any) -> str:
    return str(text.zh if out.language == "zh" else text.en)
