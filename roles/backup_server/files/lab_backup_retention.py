#!/usr/bin/python3
"""lab-backup-retention: forgets snapshots that this server has kept for longer than the school's retention.

Run by a timer on the server, which alone can delete. Nothing a PC says decides: a snapshot's age is the time this
server has watched over it, and not the date it bears. So neither snapshots dated into the future nor any number of
false ones push a real one out, and a clock that jumps adds at most two days. The newest is always kept. Settings:
/etc/lab-backup-server/config.json; what was found: /var/lib/lab-backup-server/report.json.
"""

from __future__ import annotations

import calendar
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
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
    write(memory, {"at": now, "seen": seen})
    if due:
        restic(settings, folder, password, "unlock")
        restic(settings, folder, password, "forget", *due)
        restic(settings, folder, password, "prune")
    firsts = [fields["first"] for name, fields in seen.items() if name not in due]
    return {
        "snapshots": len(firsts),
        "first": min(firsts, default=0),
        "last": max(firsts, default=0),
        "odd": strange,
        "forgotten": len(due),
        "trouble": "",
    }


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
