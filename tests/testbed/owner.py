"""Whose a room is: a process, named so that another one with a recycled number is never taken for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its number, the time it started (clock ticks since boot), and the boot it belongs to."""

    pid: int
    started: int
    boot: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(os.getpid(), _started(os.getpid()), _boot())

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return self.boot == _boot() and self.started == _started(self.pid)


def _started(pid: int) -> int:
    """Field 22 of /proc/PID/stat; -1 when there is no such process, or only its remains."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return -1
    # The program's name, in brackets, may itself hold blanks and brackets.
    fields = text.rpartition(")")[2].split()
    return -1 if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
