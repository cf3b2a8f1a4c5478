"""Starting programs on the PC with patience for apt's locks, and without repeating what must not be repeated."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

# apt's own timer-driven jobs take this lock first and wait up to an hour for it: who holds it keeps them waiting
# without stopping a timer, and the kernel gives it back however its holder ends.
DAILY_LOCK = "/var/lib/apt/daily_lock"
LOCKED = re.compile(r"could not get lock|unable to (acquire|lock)|locked by another process", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=//)[^/\s@]+@")
LONGEST_MESSAGE = 300
PAUSE = 2.0
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "UCF_FORCE_CONFFOLD": "1",
    # Services are restarted once, at the end, not by the hook of each dpkg run.
    "NEEDRESTART_SUSPEND": "1",
}

# argv and additional environment -> exit code, standard output, standard error.
Run = Callable[[Sequence[str], Mapping[str, str]], "tuple[int, str, str]"]


class LockedError(Exception):
    """Something else used apt for longer than was to be waited."""


@dataclass(frozen=True)
class Programs:
    """Starts programs through `run`; waits up to `lock_timeout` seconds for a lock."""

    run: Run
    lock_timeout: int

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        """Exit code, output, errors of a program that takes no lock."""
        return self.run(argv, ENVIRONMENT)

    def locking(self, *argv: str) -> tuple[int, str, str]:
        """The same for one that gives up at once where a lock is held: tried again until the time is up."""
        deadline = time.monotonic() + self.lock_timeout
        while True:
            code, out, err = self.run(argv, ENVIRONMENT)
            if code == 0 or not LOCKED.search(err):
                return code, out, err
            if time.monotonic() >= deadline:
                raise LockedError(f"apt was in use by something else for {self.lock_timeout} s")
            time.sleep(PAUSE)


@contextmanager
def daily_jobs_waiting(timeout: int, path: str = DAILY_LOCK) -> Iterator[None]:
    """Keep apt's timer-driven jobs waiting; raises `LockedError` when one is still at work after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"the PC's daily update or an earlier run was still at work after {timeout} s"
                    ) from None
                time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


def plain(message: str) -> str:
    """One short line of it, without a password that stands in an address."""
    line = " ".join(CREDENTIALS.sub("", message).split())
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "..."
