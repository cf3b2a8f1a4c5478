#!/usr/bin/python3
"""lab-backup-retention: forgets snapshots that this server has kept for longer than the school's retention.

Run by a timer on the server, which alone can delete. Nothing a PC says decides: a snapshot's age is the time this
server has watched over it, and not the date it bears. So neither snapshots dated into the future nor any number of
false ones push a real one out, and a clock that jumps adds at most two days. The newest is always kept.

restic's prune keeps one copy of data that an index claims twice, unread. So somebody with a PC's password could claim
all of it for a file of rubbish, and have the real data thrown away here. Therefore the repository is out of the PC's
reach meanwhile, and where anything is claimed twice, all data is read first.

    lab-backup-retention --open     only give back what a cut left out of reach

Settings: /etc/lab-backup-server/config.json; what was found: /var/lib/lab-backup-server/report.json.
"""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/lab-backup-server")
STATE = Path("/var/lib/lab-backup-server")
DAY = 86400
# Half a year: the rule's least.
LEAST_DAYS = 183
# The most one look adds to a snapshot's age, whatever the clock says.
LONGEST_STEP = 2 * DAY
# A snapshot bears the time its backup began; one that bears a later time than it came in is not what it says.
TOLERANCE = DAY
# A repository while it is tidied. The server serves a PC what lies under its name, and no name begins like this.
AWAY = ".tidied-"

# By snapshot: when it was first seen, and how long it has been kept since, in seconds.
Seen = dict[str, dict[str, int]]


def grown(seen: Mapping[str, Mapping[str, int]], came: Mapping[str, int], now: int, last: int) -> Seen:
    """What is known of each snapshot that is there now. `came`: when its file came; `last`: when this was last done."""
    step = min(max(now - last, 0), LONGEST_STEP) if last else 0
    return {
        name: {"first": seen[name]["first"], "kept": seen[name]["kept"] + step}
        if name in seen
        else {"first": min(arrived, now), "kept": 0}
        for name, arrived in came.items()
    }


def odd(dated: Mapping[str, int], seen: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The snapshots that bear a later date than the day they came in."""
    return sorted(name for name, date in dated.items() if date > seen[name]["first"] + TOLERANCE)


def to_forget(seen: Mapping[str, Mapping[str, int]], strange: Iterable[str], days: int) -> list[str]:
    """The snapshots kept for longer than `days`, but for the newest, and the newest that is not strange."""
    strange = set(strange)
    order = sorted(seen, key=lambda name: (seen[name]["first"], name))
    newest = set(order[-1:]) | set([name for name in order if name not in strange][-1:])
    return [name for name in order if seen[name]["kept"] > days * DAY and name not in newest]


def main() -> int:
    """Exit code: 1 when a repository could not be tidied."""
    settings = json.loads((SETTINGS / "config.json").read_text(encoding="utf-8"))
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        bring_back(Path(settings["path"]))
        return 0 if "--open" in sys.argv else tidy_all(settings)


def tidy_all(settings: Mapping[str, Any]) -> int:
    """Every repository; the exit code."""
    if settings["days"] < LEAST_DAYS:
        print(f"retention of {settings['days']} days is less than half a year ({LEAST_DAYS}): refused", file=sys.stderr)
        return 1
    # Whole seconds; nothing here needs more.
    now, clients = int(time.time()), {}
    for key in sorted((SETTINGS / "keys").iterdir()):
        try:
            clients[key.name] = tidy(settings, key.name, key.read_text(encoding="ascii"), now)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            clients[key.name] = {"trouble": " ".join(str(error).split())[:300]}
    write(STATE / "report.json", {"at": now, "days": settings["days"], "clients": clients})
    return int(any(client["trouble"] for client in clients.values()))


def tidy(settings: Mapping[str, Any], client: str, password: str, now: int) -> dict[str, Any]:
    """Forget what is due in the repository of one PC; what was found there."""
    folder = Path(settings["path"]) / client
    memory = STATE / "seen" / f"{client}.json"
    known: dict[str, Any] = {"at": 0, "seen": {}}
    if memory.exists():
        known = json.loads(memory.read_text(encoding="ascii"))
    listed = json.loads(restic(settings, folder, password, "snapshots", "--json", "--no-lock")) or []
    came = {one["id"]: int((folder / "snapshots" / one["id"]).stat().st_mtime) for one in listed}
    seen = grown(known["seen"], came, now, known["at"])
    strange = odd({one["id"]: seconds(one["time"]) for one in listed}, seen)
    due = to_forget(seen, strange, settings["days"])
    # Noted before, since a cut between forgetting and pruning would leave the room taken for good.
    prune = bool(due or known.get("prune"))
    write(memory, {"at": now, "seen": seen, "prune": prune})
    if prune:
        restic(settings, folder, password, "unlock")
        if restic(settings, folder, password, "list", "locks", "--no-lock").strip():
            raise RuntimeError("it is in use, and was left alone")
        with out_of_reach(folder) as away:
            require_sound(settings, away, password)
            if due:
                restic(settings, away, password, "forget", *due)
            restic(settings, away, password, "prune")
        write(memory, {"at": now, "seen": seen, "prune": False})
    firsts = [fields["first"] for name, fields in seen.items() if name not in due]
    return {
        "snapshots": len(firsts),
        "first": min(firsts, default=0),
        "last": max(firsts, default=0),
        "odd": strange,
        "forgotten": len(due),
        "trouble": "",
    }


def require_sound(settings: Mapping[str, Any], folder: Path, password: str) -> None:
    """Raise where an index claims data twice and not all of it is what it says: prune would take a copy unread."""
    claimed = restic(settings, folder, password, "list", "blobs", "--no-lock").split("\n")
    if len(claimed) == len(set(claimed)):
        return
    try:
        restic(settings, folder, password, "check", "--read-data")
    except RuntimeError as error:
        raise RuntimeError(f"data is claimed twice and is not sound, so nothing was forgotten: {error}") from error


@contextlib.contextmanager
def out_of_reach(folder: Path) -> Iterator[Path]:
    """The repository under a name that is served to nobody, and that the server's account can't make anew.

    An upload that began before leaves a torn file, which restic refuses to read, or a whole one, which it reads.
    """
    away = folder.with_name(AWAY + folder.name)
    folder.rename(away)
    try:
        yield away
    finally:
        bring_back(folder.parent)


def bring_back(top: Path) -> None:
    """Put repositories back that were out of reach."""
    for away in top.glob(f"{AWAY}*"):
        there = away.with_name(away.name.removeprefix(AWAY))
        if not there.exists():
            away.rename(there)


def restic(settings: Mapping[str, Any], folder: Path, password: str, *arguments: str) -> str:
    """Run restic on a repository as the account that owns it; what it printed. The password goes in by a pipe."""
    done = subprocess.run(
        ["restic", "--repo", str(folder), "--no-cache", *arguments],
        user=settings["user"],
        group=settings["user"],
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        cwd="/",
        input=password,
        capture_output=True,
        text=True,
        umask=0o077,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"restic {arguments[0]}: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1])
    # restic says so where its answer is expected.
    return done.stdout.replace("reading repository password from stdin\n", "", 1)


def seconds(text: str) -> int:
    """Seconds of a time as restic writes it: `2026-11-24T10:20:30.123456789Z`, or with an offset."""
    moment = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    offset = text[19:].lstrip(".0123456789")
    if offset in ("", "Z"):
        return moment
    shift = int(offset[1:3]) * 3600 + int(offset[4:6]) * 60
    return moment - shift if offset[0] == "+" else moment + shift


def write(path: Path, content: object) -> None:
    """Write so that a cut leaves the old file or the new one."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="ascii") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main())
