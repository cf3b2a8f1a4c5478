"""`python -m tests.testbed`: rooms of real lab PCs on this machine, for the hand."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tests.testbed import rooms
from tests.testbed.errors import RoomError
from tests.testbed.host import BREAKABLE
from tests.testbed.interruption import end_like_interrupt
from tests.testbed.room import DISK, MIB, TestRoom

_EXAMPLES = f"""\
examples:
  python -m tests.testbed build --hosts 4 --name demo     four PCs, pc01 to pc04; says how to log in
  python -m tests.testbed list                            every room of this machine
  ssh -F .cache/testbed/demo/ssh_config pc01              log in (account lab-admin, sudo without password)
  python -m tests.testbed break pc02 off                  pull the plug
  python -m tests.testbed break demo/pc03 disk-full       a host by room and name
  python -m tests.testbed mend pc02                       power, cable and everything else back in order
  python -m tests.testbed down demo                       remove the room; --all removes every room nobody works with

what can break: {", ".join(BREAKABLE)}
The root file system is built once and kept in /var/cache/lab-testbed (LAB_TESTBED_CACHE names another folder).
"""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 1 when it could not be done; 2 for a wrong call; 130 after Ctrl-C."""
    end_like_interrupt()
    options = _parser().parse_args(arguments)
    try:
        if os.geteuid() != 0:
            raise RoomError("needs root")
        _COMMANDS[options.command](options)
    except RoomError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.testbed", description=__doc__, epilog=_EXAMPLES, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build a room that stays until it is taken down")
    build.add_argument("--hosts", type=int, default=4, metavar="N", help="how many PCs (default 4)")
    build.add_argument("--name", default="demo", help="the room's name (default demo)")
    build.add_argument("--first", type=int, default=1, metavar="SEAT", help="the first seat's number (default 1)")
    build.add_argument("--state", type=Path, metavar="DIR", help="the room's folder (default .cache/testbed/NAME)")
    build.add_argument(
        "--disk", type=int, default=DISK // MIB, metavar="MIB", help="what each PC may write (default 1024)"
    )

    listing = commands.add_parser("list", help="every room of this machine")
    for command in (build, listing):
        command.add_argument("--json", action="store_true", help="one JSON object on standard output")

    damage = commands.add_parser("break", help="break something on a host")
    damage.add_argument("host", help="its name; ROOM/NAME where two rooms have one of that name")
    damage.add_argument("what", choices=BREAKABLE)

    mend = commands.add_parser("mend", help="mend everything on a host")
    mend.add_argument("host")

    down = commands.add_parser("down", help="remove a room")
    which = down.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", help="the room's name")
    which.add_argument("--all", action="store_true", help="every room that no living process works with")
    down.add_argument("--force", action="store_true", help="also one that a living process works with")
    return parser


def _build(options: argparse.Namespace) -> None:
    folder = options.state or Path(".cache/testbed") / options.name
    print(f"Building {options.hosts} PCs; the first time on a machine takes a minute more.", file=sys.stderr)
    room = rooms.build_to_stay(options.name, options.hosts, folder, options.first, options.disk * MIB)
    if options.json:
        print(json.dumps({"v": 1, "room": _described(room)}))
        return
    _print_room(room)
    print(f"Log in: ssh -F {room.folder / 'ssh_config'} {room.hosts[0].name}")


def _list(options: argparse.Namespace) -> None:
    found = rooms.every_room()
    if options.json:
        print(json.dumps({"v": 1, "rooms": [_described(room) for room in found]}))
        return
    for room in found:
        _print_room(room)
    if not found:
        print("No rooms. Build one: python -m tests.testbed build")


def _break(options: argparse.Namespace) -> None:
    host = rooms.find_host(options.host)
    host.break_(options.what)
    print(f"{host.name}: {options.what}. Mend it: python -m tests.testbed mend {options.host}")


def _mend(options: argparse.Namespace) -> None:
    host = rooms.find_host(options.host)
    host.mend_all()
    print(f"{host.name}: in order, SSH answers")


def _down(options: argparse.Namespace) -> None:
    removed, left = rooms.take_down(options.name, force=options.force)
    for room in removed:
        print(f"Removed room {room.name} ({len(room.hosts)} PCs)")
    for room in left:
        print(f"Left room {room.name}: process {_user(room)} works with it (--force removes it)")


def _described(room: TestRoom) -> dict[str, object]:
    return {
        "name": room.name,
        "user": room.user,
        "folder": str(room.folder),
        "private_key": str(room.private_key),
        "known_hosts": str(room.known_hosts),
        "control": room.control,
        "in_use_by": _user(room),
        "hosts": [
            {"name": host.name, "seat": host.seat, "address": host.address, "mac": host.mac, "on": host.is_on}
            for host in room.hosts
        ],
    }


def _print_room(room: TestRoom) -> None:
    user = _user(room)
    print(f"{room.name}  {room.folder}{f'  in use by process {user}' if user else ''}")
    for host in room.hosts:
        print(f"  {host.name:<16} {host.address:<15} {host.mac}  {'on' if host.is_on else 'off'}")


def _user(room: TestRoom) -> int | None:
    owner = room.record.owner
    return owner.pid if owner and owner.alive else None


_COMMANDS = {"build": _build, "list": _list, "break": _break, "mend": _mend, "down": _down}

if __name__ == "__main__":
    raise SystemExit(main())
