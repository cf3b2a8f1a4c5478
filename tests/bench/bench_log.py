"""How fast the log is verified, searched, indexed and written, beside the plainest thing that does the same.

    python -m tests.bench.bench_log [--entries 1000000] [--folder DIR]

Prints the table of RESULTS-log.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab_tool.clock import utc_now, utc_text
from lab_tool.log.entry import NO_PREV, Subject, leaf_hash, write_line
from lab_tool.log.index import open_index
from lab_tool.log.store import LogStore
from lab_tool.log.tree import ask
from lab_tool.log.verify.judge import verify
from lab_tool.log.verify.report import Question
from lab_tool.settings import PROJECT

INVENTORY = PROJECT / "inventory"
ROOMS, SEATS, TASKS = 25, 40, 20
REPEATS = 5


def lines(count: int) -> Iterator[bytes]:
    """Entries as a recorder writes them: runs over a room, task after task, PC after PC; 350 to 500 bytes each."""
    prev = NO_PREV
    moment = datetime(2026, 9, 1, 8, tzinfo=UTC)
    for seq in range(count):
        run, step = divmod(seq, SEATS * TASKS)
        task, seat = divmod(step, SEATS)
        room = f"a{301 + run % ROOMS}"
        host = f"{room}-{seat + 1:02d}"
        moment += timedelta(microseconds=125_013)
        name = f"r-{moment:%Y%m%d}T080000-{run % 65536:04x}"
        fields = {
            "task": f"Linux | Step {task} of the upgrade",
            "place": f"roles/patch/tasks/linux.yml:{10 * task + 4}",
        }
        kind, body = _body(seat, fields)
        subject = Subject(f"c-{run:010x}", name, (host,), (room,), ("B2",))
        line = write_line(
            seq=seq, time=utc_text(moment), actor="li-na", kind=kind, subject=subject, body=body, prev=prev
        )
        prev = leaf_hash(line)
        yield line + b"\n"


def _body(seat: int, fields: dict[str, str]) -> tuple[str, dict[str, object]]:
    if seat % 10 == 9:
        values = {"kernel": "6.1.0-28-amd64", "pending": 0, "reboot_required": False}
        return "evidence.read", {**fields, "evidence": {"verb": "patch", "outcome": "ok", "values": values}}
    result = {"rc": 0, "state": "latest", "diff": [{"packages": "libssl3 openssl"}]}
    return "task.changed", {**fields, "action": "ansible.builtin.apt", "result": result}


def plain_reading(path: Path) -> None:
    """What can't be done without: SHA-256 of the bytes, and the standard library's JSON parser on each line."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def verification(path: Path) -> None:
    """All of `lab log verify` but the signatures of checkpoints, of which there are none here."""
    report = verify(Question(path, "bench.example/log", (), True, (), utc_now()))
    if not report.verified or not report.entries:
        raise AssertionError(report)


def seconds(job: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of one call by `clock`: wall-clock, or `time.process_time`, which other work on the machine leaves alone."""
    before = clock()
    job()
    return clock() - before


def lab_command(state: Path, *arguments: str) -> Callable[[], object]:
    """`lab` as a user starts it, on the sample school, output into a file."""
    environment = {**os.environ, "LAB_STATE": str(state), "LAB_INVENTORY": str(INVENTORY), "LAB_LANG": "en"}
    command = [str(Path(sys.executable).with_name("lab")), *arguments]
    return lambda: subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)


def appends(folder: Path, count: int) -> float:
    """Seconds per entry with one writer, each on the disk before the next."""
    store = LogStore(folder / "appends")
    kind, body = _body(0, {"task": "Linux | Step", "place": "roles/patch/tasks/linux.yml:14"})
    subject = Subject("c-1", "r-1", ("a301-01",), ("a301",), ("B2",))
    before = time.perf_counter()
    for _ in range(count):
        store.append(actor="li-na", kind=kind, subject=subject, body=body)
    return (time.perf_counter() - before) / count


def row(what: str, values: list[float], bound: str, unit: str = "s") -> None:
    """One line of the table: smallest, median, largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"| {what} | {low:.3g} | {middle:.3g} | {high:.3g} {unit} | {bound} |", flush=True)


def main() -> None:
    """Make a log, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        measure(Path(temporary), chosen.entries)


def measure(folder: Path, count: int) -> None:
    """All figures."""
    log = folder / "state" / "log"
    log.mkdir(parents=True, mode=0o700)
    path = log / "entries.jsonl"
    with path.open("wb") as file:
        file.writelines(lines(count))
    size = path.stat().st_size
    print(f"{count} entries, {size / 1e6:.0f} MB, {size / count:.0f} bytes each\n")
    print("| what | smallest | median | largest | bound |\n| --- | --- | --- | --- | --- |")
    plain, verified = [], []
    for _ in range(REPEATS):
        # In turns, so that a noisy moment hits both.
        plain.append(seconds(lambda: plain_reading(path)))
        verified.append(seconds(lambda: verification(path)))
    row("sha256 and json.loads of the same bytes", plain, "")
    row("verification", verified, "")
    row("verification / plain", [new / old for new, old in zip(verified, plain, strict=True)], "<= 2.0", "x")
    busy = time.process_time
    ratios = [seconds(lambda: verification(path), busy) / seconds(lambda: plain_reading(path), busy) for _ in range(3)]
    row("verification / plain, processor time", ratios, "<= 2.0", "x")
    row("index, built anew", [seconds(lambda: _touch_index(log)) for _ in range(1)], "")
    row("tree, built anew", [seconds(lambda: ask(log, lambda tree: tree.root))], "")
    row("root and inclusion proof from the tree", [seconds(lambda: _proof(log, count)) for _ in range(REPEATS)], "")
    state = folder / "state"
    for what, arguments, bound in (
        ("lab log show --host (one PC)", ("log", "show", "--host", "a311-07"), "<= 0.3 s"),
        ("lab log show --host --json", ("log", "show", "--host", "a311-07", "--json"), ""),
        ("lab log show --run", ("log", "show", "--run", f"r-20260901T080000-{7:04x}"), ""),
        ("lab log show --last 5", ("log", "show", "--last", "5"), ""),
        ("lab status --room (one room of forty)", ("status", "--room", "a301"), "<= 0.5 s"),
        ("lab status (all rooms)", ("status",), ""),
    ):
        job = lab_command(state, *arguments)
        job()
        row(what, [seconds(job) for _ in range(2 * REPEATS)], bound)
    for name, where in (("this disk", folder), ("memory", Path("/dev/shm"))):
        with tempfile.TemporaryDirectory(dir=where) as temporary:
            row(f"append, {name}", [1000 * appends(Path(temporary), 2000) for _ in range(REPEATS)], "", "ms")
    shutil.rmtree(folder / "state")


def _touch_index(log: Path) -> None:
    with open_index(log) as index:
        assert index


def _proof(log: Path, count: int) -> None:
    ask(log, lambda tree: tree.inclusion_proof(count // 3, count - 5))


if __name__ == "__main__":
    main()
