"""What the role's backup costs beside restic called by hand: the same tree, the same two servers, in turn.

    python -m tests.bench.bench_backup [--files N] [--pairs N]

Three PCs of the testbed: two repository servers set up by the role, and one PC that is saved. Ours is `lab-backup`, the
program that the role starts; by hand it is `restic backup` into both repositories with the same address, password and
options. Both into the same repositories, the tree changed before each: every run reads all names and sends the same
amount of new data. Needs root and the room builder (tests/testbed).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.measure import HEADINGS, Cost, cost, ratio
from tests.integration.backup_room import BackupRoom
from tests.integration.conftest import LabRoom, school_around
from tests.testbed import boot
from tests.testbed.host import TestHost
from tests.testbed.room import build_room

FILES, PAIRS, GOAL = 200_000, 5, "1.05"
PLACES = "/etc/lab-backup/places"
BY_HAND = f"""
for place in school off_site; do
  RESTIC_REPOSITORY_FILE={PLACES}/$place/repository RESTIC_PASSWORD_FILE={PLACES}/$place/password \\
  RESTIC_CACHE_DIR=/var/cache/lab-backup RESTIC_PROGRESS_FPS=0.01 \\
  ionice -c 3 nice -n 10 restic --cacert {PLACES}/$place/ca.pem backup --json --host hand --tag hand \\
    --exclude-caches --exclude-file /etc/lab-backup/excludes --files-from-verbatim /etc/lab-backup/paths
done
"""
OURS = "lab-backup --tag bench"
# 40 bytes a file, in folders of a thousand.
TREE = """
import os, random, sys
for number in range(int(sys.argv[1])):
    folder = f"/data/{number // 1000:04d}"
    if number % 1000 == 0:
        os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{number}", "w") as file:
        file.write(f"{number:040d}")
"""
CHANGE = "head -c 20000000 /dev/urandom > /data/new"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES, help=f"small files in the tree (default {FILES})")
    parser.add_argument(
        "--pairs", type=int, default=PAIRS, help=f"counted runs of each (default {PAIRS}, after one not)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, build_room("bench-backup", 3, Path(name) / "room", 1, _seat) as pcs:
        for host in pcs.hosts:
            host.use_stock()
        room = BackupRoom(LabRoom(pcs, school_around(pcs, Path(name) / "school")))
        # In memory: the tree does not have to fit the disk of a test host.
        room["pc"].run("mkdir /data && mount -t tmpfs -o size=4g,nr_inodes=0 none /data")
        room["pc"].run(f"python3 - {options.files} <<'END'\n{TREE}\nEND")
        room.play("backup_server", "school", "off_site")
        result = room.backup(backup_check_parts=256)
        if result.outcome not in ("changed", "ok"):
            raise SystemExit(result.reason)
        print(f"{options.files} small files and 20 MB of new data, {options.pairs} pairs\n\n{HEADINGS}", flush=True)
        compare(room["pc"], options.pairs)


def _seat(seat: int) -> str:
    return f"a301-{seat:02d}"


def compare(host: TestHost, pairs: int) -> None:
    """Ours and by hand, in turn."""
    spent: dict[str, list[Cost]] = {OURS: [], BY_HAND: []}
    for number in range(pairs + 1):
        for command, costs in spent.items():
            host.run(CHANGE)
            one = cost(_inside(host, command))
            if number:
                costs.append(one)
        kept = json.loads(host.run("cat /var/lib/lab-backup/result.json").stdout)
        if any(place["code"] for place in kept["places"].values()):
            raise SystemExit(f"not saved: {kept}")
    for measure, goal in (("wall", GOAL), ("cpu", "")):
        ours, hand = ([getattr(one, measure) for one in costs] for costs in spent.values())
        print(ratio(ours, hand).row(f"a further backup into both repositories, {measure}", "s", goal), flush=True)


def _inside(host: TestHost, command: str) -> list[str]:
    """The command line that runs shell text in the host as a child of this process, so that its cost is counted."""
    enter = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
    return ["nsenter", "--target", str(boot.leader(host.place)), *enter, "--", "/bin/sh", "-ec", command]


if __name__ == "__main__":
    main()
