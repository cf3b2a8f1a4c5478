"""What happens to a log that nobody attacks: killed writers, several of them, a full disk, a lost permission."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab_tool.clock import utc_now
from lab_tool.errors import LogWriteError
from lab_tool.log.entry import Subject
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.log.verify.judge import verify
from lab_tool.log.verify.report import Question, Report
from lab_tool.settings import PROJECT
from tests.tamper.conftest import SCRIPT

WRITERS, EACH = 8, 60
NOBODY = 65534
# Writes entries and says which are durable: one line with the number each.
WRITER = """
import sys
from pathlib import Path
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
log, who, count, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(count):
    body = {"number": number, "text": "x" * size}
    entry = LogStore(log).append(actor=who, kind="task.changed", subject=Subject(), body=body)
    print(entry.seq, number, flush=True)
"""


def writer(log: Path, who: str, count: int, size: int = 100) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(log), who, str(count), str(size)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def judged(log: Path) -> Report:
    return verify(Question(log / "entries.jsonl", "", (), True, (), utc_now()))


def both_accept(log: Path) -> Report:
    """The report of the one verifier, after the other agreed."""
    command = [sys.executable, str(SCRIPT), "/dev/null", str(log / "entries.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = judged(log)
    assert report.verified, report
    return report


def append(log: Path) -> int:
    return LogStore(log).append(actor="test", kind="task.changed", subject=Subject(), body={}).seq


def test_eight_writers_at_once(tmp_path: Path) -> None:
    """Every acknowledged entry is there, once, with the number that was acknowledged, in its writer's order."""
    log = tmp_path / "log"
    writers = {f"w{number}": writer(log, f"w{number}", EACH) for number in range(WRITERS)}
    told = {who: process.communicate(timeout=120) for who, process in writers.items()}
    assert {who: err for who, (_, err) in told.items()} == dict.fromkeys(writers, "")
    assert both_accept(log).entries == WRITERS * EACH
    entries = [json.loads(line) for line in (log / "entries.jsonl").read_bytes().splitlines()]
    for who, (out, _) in told.items():
        acknowledged = [tuple(map(int, line.split())) for line in out.splitlines()]
        assert [number for _, number in acknowledged] == list(range(EACH))
        for seq, number in acknowledged:
            assert (entries[seq]["actor"], entries[seq]["body"]["number"]) == (who, number)


@pytest.mark.parametrize("size", [100, 300_000])
def test_writers_that_are_killed(tmp_path: Path, size: int) -> None:
    """SIGKILL at any moment: what was acknowledged is there, and the log goes on."""
    log = tmp_path / "log"
    chance = random.Random(20261124)
    acknowledged: list[tuple[int, str]] = []
    for round_number in range(12):
        names = [f"r{round_number}w{number}" for number in range(2)]
        killed = [writer(log, name, 100_000, size) for name in names]
        # Until both write, and then a little longer.
        seen = [process.stdout.readline() for process in killed if process.stdout]
        time.sleep(chance.random() / 20)
        for process in killed:
            process.kill()
        rest = [process.communicate(timeout=30)[0] for process in killed]
        for name, first, more in zip(names, seen, rest, strict=True):
            lines = [line for line in (first + more).splitlines(keepends=True) if line.endswith("\n")]
            acknowledged += [(int(line.split()[0]), name) for line in lines]
    append(log)
    both_accept(log)
    entries = [json.loads(line) for line in (log / "entries.jsonl").read_bytes().splitlines()]
    assert len(acknowledged) >= 24
    for seq, who in acknowledged:
        assert entries[seq]["actor"] == who
    assert not list((log / "torn").glob("*.pending"))


def test_a_killed_writer_does_not_keep_the_lock(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append(log)
    holder = "import fcntl, sys, time; fcntl.flock(open(sys.argv[1]), 2); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, str(log / "lock")], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert append(log) == 1


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk(tmp_path: Path) -> None:
    """The entry that does not fit is refused, no half of it stays, and with room again the log goes on."""
    with small_disk(tmp_path / "disk", "512k") as disk:
        log = disk / "log"
        process = writer(log, "w", 100_000, 5_000)
        out, err = process.communicate(timeout=60)
        assert "LogWriteError" in err
        assert "No space left" in err
        durable = len(out.splitlines())
        assert both_accept(log).entries == durable
        assert len(find(log, Query())) == durable
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert append(log) == durable
        assert both_accept(log).entries == durable + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only mount needs root")
def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    """As ext4 does after an I/O error. Reading goes on."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        log = disk / "log"
        append(log)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(LogWriteError, match="Read-only"):
            append(log)
        assert len(find(log, Query())) == 1
        assert both_accept(log).entries == 1


def as_nobody(log: Path) -> str:
    """What an account without rights of its own is told when it appends; empty when it could."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            append(log)
        except LogWriteError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="taking a permission away from oneself needs a second account")
@pytest.mark.parametrize("what", ["nothing", "file", "folder", "lock", "owner"])
def test_a_lost_permission(what: str) -> None:
    """An ordinary account whose rights are gone gets an error, and the log stays as it was."""
    # Not below tmp_path, which no other account can reach.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        log = Path(name) / "log"
        append(log)
        for path in (log, *log.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        before = (log / "entries.jsonl").read_bytes()
        if what == "owner":
            os.chown(log / "entries.jsonl", 0, 0)
        elif what != "nothing":
            {"file": log / "entries.jsonl", "folder": log, "lock": log / "lock"}[what].chmod(0o400)
        said = as_nobody(log)
        if what == "nothing":
            assert said == ""
            return
        assert "Permission denied" in said
        assert "ls -ld" in said
        assert (log / "entries.jsonl").read_bytes() == before


READER = """
import sys
from pathlib import Path
from lab_tool.log import tree
from lab_tool.log.query import Query, find
log, seen, size = Path(sys.argv[1]), 0, 0
while seen < int(sys.argv[2]):
    entries = find(log, Query(kinds=("task.changed",)))
    assert [entry.seq for entry in entries] == list(range(len(entries))), "gaps"
    assert len(entries) >= seen, "fewer than before"
    seen = len(entries)
    grown = tree.ask(log, lambda tree: (tree.size, tree.root_at(size)))[0]
    assert grown >= size, "the tree shrank"
    size = grown
"""


def test_readers_while_writers_write(tmp_path: Path) -> None:
    """Index and tree are brought up to date by several processes at once, and none sees less than before."""
    log = tmp_path / "log"
    append(log)
    command = [sys.executable, "-c", READER, str(log), str(3 * EACH + 1)]
    readers = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    writers = [writer(log, f"w{number}", EACH) for number in range(3)]
    assert [process.communicate(timeout=120)[1] for process in writers] == ["", "", ""]
    assert [process.communicate(timeout=120)[1] for process in readers] == ["", "", ""]
    assert both_accept(log).entries == 3 * EACH + 1
