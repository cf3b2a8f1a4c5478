"""`make demo`: a room of four real Linux PCs on this machine, patched by the book, and three refusals."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_tool.settings import PROJECT
from tests.support.school import DIRECTOR, TECHNICIAN, Seat, SmallSchool, make_school
from tests.testbed.room import build_room, reason_not_available

FOLDER = PROJECT / ".demo"
ROOM = "demo"
BOLD, DIM, OFF = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "", "")


class UnexpectedError(Exception):
    """A command of the demo ended otherwise than it should."""


def title(text: str) -> None:
    """A heading between the steps."""
    print(f"\n{BOLD}== {text}{OFF}", flush=True)


def lab(school: SmallSchool, *arguments: str, person: str = TECHNICIAN, expect: int = 0) -> None:
    """Show a command, run it before the viewer's eyes, and hold it to the exit code it should have."""
    print(f"{DIM}{person}${OFF} {BOLD}lab {' '.join(_quoted(part) for part in arguments)}{OFF}", flush=True)
    code = subprocess.run(
        [sys.executable, "-m", "lab_tool", *arguments], env=school.environment(person), cwd=PROJECT, check=False
    ).returncode
    if code != expect:
        raise UnexpectedError(f"lab {arguments[0]} ended with {code}, not {expect}")
    if expect:
        print(f"{DIM}(exit code {code}, as it should be){OFF}", flush=True)


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part else part


def tell(school: SmallSchool) -> None:
    """The story, step by step."""
    title("The room, from its inventory")
    lab(school, "rooms", "show", ROOM)

    title("What would change? Asked of the PCs themselves; nothing is changed")
    lab(school, "plan", "patch", "--room", ROOM)

    title("A technician requests the change")
    lab(school, "change", "request", "patch", "--room", ROOM, "--why", "Term starts on Monday")
    change = json.loads(school.lab("change", "list", "--json").stdout)["data"]["changes"][0]["id"]

    title("Refusal 1: nobody has approved it yet")
    lab(school, "run", change, expect=5)

    title("Refusal 2: whoever requested it can't approve it")
    lab(school, "change", "approve", change, expect=5)

    title("The director approves it with an SSH signature")
    lab(school, "change", "approve", change, person=DIRECTOR)

    title("The run")
    lab(school, "run", change)

    title("The log proves itself")
    lab(school, "log", "verify")
    lab(school, "log", "show", "--host", f"{ROOM}-01")

    title("Refusal 3: one line of a copy of the log is edited, and the copy does not verify")
    forged = school.folder / "forged.jsonl"
    lines = (school.state / "log" / "entries.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"li_na", b"li_no")
    forged.write_bytes(b"".join(lines))
    lab(school, "log", "verify", "--log", str(forged), expect=4)


@contextmanager
def clean_end() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal all leave by the same door, so that the room is torn down."""

    def leave(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    yield


def main() -> int:
    """Exit code 0 when everything went as it should, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--clean", action="store_true", help="remove what the demo left, and do nothing else")
    if parser.parse_args().clean:
        shutil.rmtree(FOLDER, ignore_errors=True)
        print(f"Removed {FOLDER}")
        return 0
    reason = reason_not_available()
    if reason:
        print(f"The demo needs real hosts, and this machine can't have them: {reason}", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o700)
    with clean_end():
        try:
            return demo(FOLDER)
        except KeyboardInterrupt:
            print("\nInterrupted; the room is torn down.", file=sys.stderr)
            return 130
        except UnexpectedError as error:
            print(f"\nThe demo did not go as it should: {error}", file=sys.stderr)
            return 1


def demo(folder: Path) -> int:
    """Build the room, tell the story, tear the room down."""
    title("Building a room of four PCs (the first time, their system is built: about a minute)")
    with build_room(ROOM, 4, folder / "room", names=lambda seat: f"{ROOM}-{seat:02d}") as room:
        seats = [Seat(host.name, host.address, host.mac) for host in room.hosts]
        school = make_school(folder, ROOM, seats, ssh_key=room.private_key, known_hosts=room.known_hosts)
        tell(school)
    title("Done: the room is gone")
    print(f"The log lies in  {school.state / 'log' / 'entries.jsonl'}")
    print(f"Checkpoints in   {school.second_place}")
    print("Remove both with  make demo-clean")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
