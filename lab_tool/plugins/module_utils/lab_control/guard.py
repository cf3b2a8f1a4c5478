"""The guard: what could lock the administrator out is undone by the PC itself, unless it is told in time to stay.

A timer of systemd runs the undoing program below `/usr/local/lib`; it is enabled, so that a PC that was rebooted
meanwhile undoes it too. Telling it to stay takes a new login of the control node.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .definition import Control
from .engine import Result, pending, undo
from .files import write
from .journal import ROOT, Journal, load
from .kind import Run, must

PACKAGE = "lab_control"
# All that the undoing program imports.
SOURCES = ("__init__", "definition", "engine", "files", "guard", "journal", "kind", "system")
HOME = Path("/usr/local/lib/lab-lockdown")
UNITS = Path("/etc/systemd/system")
TIMER, SERVICE = "lab-lockdown-guard.timer", "lab-lockdown-guard.service"
ARMED, FIRED = ROOT / "guard.json", ROOT / "rolled-back.json"


def arm(controls: Sequence[str], seconds: int, program: str, run: Run) -> None:
    """Undo `controls` in `seconds`, and `seconds` after the next boot, unless disarmed. Raises if it can't be armed.

    Those of an earlier run that nobody confirmed stay among them.
    """
    (HOME / PACKAGE).mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        source = pkgutil.get_data(__package__, f"{name}.py")
        if source is None:
            raise OSError(f"{name}.py can't be read")
        write(HOME / PACKAGE / f"{name}.py", source, 0o644, 0, 0)
    write(HOME / "undo", program.encode(), 0o755, 0, 0)
    ARMED.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(ARMED, json.dumps(sorted({*controls, *armed()})).encode(), 0o600, 0, 0)
    FIRED.unlink(missing_ok=True)
    service = "[Unit]\nDescription=Undo lock-down controls that nobody confirmed\n"
    # What could not be undone, such as on a full disk, is tried again: for a day, and after each boot.
    service += "StartLimitIntervalSec=1d\nStartLimitBurst=200\n\n"
    service += "[Service]\nType=oneshot\nRestart=on-failure\nRestartSec=60\n"
    write(UNITS / SERVICE, f"{service}ExecStart={HOME}/undo\n".encode(), 0o644, 0, 0)
    timer = f"[Unit]\nDescription=Wait for the control node\n\n[Timer]\nOnActiveSec={seconds}\n"
    timer += "AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    write(UNITS / TIMER, timer.encode(), 0o644, 0, 0)
    must(run, "systemctl", "daemon-reload")
    must(run, "systemctl", "enable", "--", TIMER)
    begin(run)


def to_guard(controls: Sequence[Control], run: Run) -> list[str]:
    """What applying would change, and what an earlier run applied and did not live to confirm."""
    return sorted({*pending(controls, run), *armed()})


def begin(run: Run) -> None:
    """The time counts from now: once when armed, and again when all is applied, which may have taken longer.

    An undo whose time came meanwhile has done nothing yet: it waits for who applies.
    """
    must(run, "systemctl", "stop", "--", SERVICE)
    must(run, "systemctl", "restart", "--", TIMER)
    must(run, "systemctl", "is-active", "--", TIMER)


def disarm(run: Run) -> None:
    """The controls stay. Nothing of the guard is left but the program."""
    if ARMED.exists() or (UNITS / TIMER).exists():
        if (UNITS / TIMER).exists():
            must(run, "systemctl", "disable", "--now", "--", TIMER)
        # It may wait to try once more.
        run(["systemctl", "stop", "--", SERVICE])
        _clear(run)


def fire(run: Run) -> dict[str, Result]:
    """Undo what was not confirmed; told in a file that the next run reads.

    What could not be undone stays armed.
    """
    names, found = armed(), []
    for name in names:
        # One that can't be read keeps no other from being undone.
        with suppress(ValueError):
            found.append(load(name))
    found.sort(key=lambda journal: journal.since, reverse=True)
    results = {journal.control: undo(journal, run) for journal in found if journal.path.exists()}
    with suppress(OSError):
        write(FIRED, json.dumps(sorted(names)).encode(), 0o600, 0, 0)
    if not any(Journal(name).path.exists() for name in names):
        run(["systemctl", "disable", "--", TIMER])
        _clear(run)
    return results


def rolled_back() -> list[str]:
    """The controls that were undone because nobody confirmed them, until the next ones are armed."""
    try:
        return [str(name) for name in json.loads(FIRED.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def armed() -> list[str]:
    """The controls that will be undone unless somebody confirms them."""
    try:
        return [str(name) for name in json.loads(ARMED.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def _clear(run: Run) -> None:
    for path in (ARMED, UNITS / TIMER, UNITS / SERVICE):
        path.unlink(missing_ok=True)
    run(["systemctl", "daemon-reload"])
