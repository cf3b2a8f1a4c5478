"""What of a room is on this machine: for tests that ask whether anything is left of it."""

from __future__ import annotations

from pathlib import Path

from tests.testbed import places
from tests.testbed.places import RoomPlace
from tests.testbed.programs import run


def traces(room: RoomPlace) -> list[str]:
    """Every process group, mount, namespace, link, route, table, file that belongs to a room; empty when it is gone."""
    found = [str(path) for path in (room.record, room.mounts) if path.exists()]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{room.cgroup}") if path.exists()]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(room.cgroup)]
    for argv in (
        ("ip", "netns", "list"),
        ("ip", "-oneline", "link"),
        ("ip", "route"),
        ("nft", "list", "tables"),
        ("cat", "/proc/self/mountinfo"),
    ):
        for line in run(*argv).stdout.splitlines():
            words = line.replace("@", " ").replace(":", " ").split()
            names = (room.name, str(room.network), str(room.mounts))
            if any(word == name or word.startswith((f"{name}-", f"{name}/")) for word in words for name in names):
                found.append(f"{argv[0]} {argv[1]}: {line}")
    # Names of their own in the process table: each host's nspawn carries the namespace's.
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--machine={room.name}-" in line:
            found.append(f"process {path.parent.name}: {line[:80]}")
    return found


def machine_traces() -> list[str]:
    """What all rooms share on this machine; empty once the last is gone, but for the lock and the last number."""
    kept = {places.LOCK, places.RECORDS, places.RUN / "last"}
    found = [str(path) for path in places.RUN.glob("*") if path not in kept]
    return found + [line for line in run("ip", "route").stdout.splitlines() if str(places.RANGE) in line]
