"""Letting `lab-scan` do a scan as a unit of its own: idle priority, killed by nobody but root."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .command import CLOCK, JOB, RESULT
from .engine import Run
from .files import STATE, private_folder, read_json, write_json
from .mounts import Mounts
from .scan import Job
from .settings import load
from .signatures import DAY

PROGRAM = "/usr/local/libexec/lab-scan"
UNIT = "lab-virus-scan"
PRIORITY = ("Nice=19", "IOSchedulingClass=idle", "CPUWeight=10", "IOWeight=10", "LimitNOFILE=524288")
# The scan ends itself; this is for one that can't.
GRACE = 600
FIRST_PERSON, NOBODY = 1000, 65534


class ScheduleError(Exception):
    """No scan was done."""


@dataclass(frozen=True)
class Order:
    """What is wanted; `limit` in seconds."""

    scope: str
    paths: Sequence[str]
    limit: int
    resume_days: int
    now: int


def scan(run: Run, order: Order) -> dict[str, Any]:
    """Do it; the report of `command.perform`."""
    settings = load()
    job = Job(
        roots=roots(order.scope, order.paths),
        excluded=settings.excluded,
        allowed=settings.allowed,
        largest=settings.largest,
        limit=order.limit,
        resume_age=order.resume_days * DAY,
        now=order.now,
    )
    private_folder(STATE)
    nonce = secrets.token_hex(8)
    # One that an earlier run left behind is cut off, and this one goes on there.
    run(["systemctl", "stop", f"{UNIT}.service"])
    write_json(CLOCK, {"seen": order.now})
    write_json(JOB, {"nonce": nonce, **asdict(job)})
    properties = [f"--property={value}" for value in (*PRIORITY, f"RuntimeMaxSec={order.limit + GRACE}")]
    command = ["systemd-run", f"--unit={UNIT}", "--collect", "--wait", "--quiet", *properties, PROGRAM, "--job"]
    code, out = run(command)
    result: Any = read_json(RESULT)
    if not result or result.pop("nonce", "") != nonce:
        said = out.strip().splitlines()
        raise ScheduleError(f"it ended with {code} and left no result{': ' + said[-1][:200] if said else ''}")
    return dict(result)


def roots(scope: str, paths: Sequence[str]) -> list[str]:
    """Where a scan of that scope begins."""
    if scope == "paths":
        return list(paths)
    if scope == "disk":
        return [os.fsdecode(root) for root in Mounts().whole_disk()]
    homes = {"/home", "/root"}
    homes |= {user.pw_dir for user in pwd.getpwall() if FIRST_PERSON <= user.pw_uid < NOBODY}
    outer = [home for home in homes if Path(home).is_dir() and home != "/"]
    return sorted(home for home in outer if not any(home.startswith(f"{other}/") for other in outer))
