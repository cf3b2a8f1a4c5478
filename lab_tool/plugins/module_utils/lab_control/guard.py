"""The guard: what could lock the administrator out is undone by the PC itself, unless it is told in time to stay.

A timer of systemd runs the undoing program below `/usr/local/lib`; it is enabled, so that a PC that was rebooted
meanwhile undoes it too. Telling it to stay takes a new login of the control node.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from .engine import Result, undo
from .files import write
from .journal import ROOT, journals
from .kind import Run, must

PACKAGE = "lab_control"
# All that the undoing program imports.
SOURCES = ("__init__", "definition", "engine", "files", "guard", "journal", "kind", "system")
HOME = Path("/usr/local/lib/lab-lockdown")
UNITS = Path("/etc/systemd/system")
TIMER, SERVICE = "lab-lockdown-guard.timer", "lab-lockdown-guard.service"
ARMED, FIRED = ROOT / "guard.json", ROOT / "rolled-back.json"


def arm(controls: Sequence[str], seconds: int, program: str, run: Run) -> None:
    """Undo `controls` in `seconds`, and `seconds` after the next boot, unless disarmed. Raises if it can't be armed."""
    (HOME / PACKAGE).mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        source = pkgutil.get_data(__package__, f"{name}.py")
        if source is None:
            raise OSError(f"{name}.py can't be read")
        write(HOME / PACKAGE / f"{name}.py", source, 0o644, 0, 0)
    write(HOME / "undo", program.encode(), 0o755, 0, 0)
    ARMED.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(ARMED, json.dumps(sorted({*controls, *_armed()})).encode(), 0o600, 0, 0)
    FIRED.unlink(missing_ok=True)
    service = "[Unit]\nDescription=Undo lock-down controls that nobody confirmed\n\n[Service]\nType=oneshot\n"
    write(UNITS / SERVICE, f"{service}ExecStart={HOME}/undo\n".encode(), 0o644, 0, 0)
    timer = f"[Unit]\nDescription=Wait for the control node\n\n[Timer]\nOnActiveSec={seconds}\n"
    timer += "AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    write(UNITS / TIMER, timer.encode(), 0o644, 0, 0)
    must(run, "systemctl", "daemon-reload")
    must(run, "systemctl", "enable", "--", TIMER)
    must(run, "systemctl", "restart", "--", TIMER)
    must(run, "systemctl", "is-active", "--", TIMER)


def disarm(run: Run) -> None:
    """The controls stay. Nothing of the guard is left but the program."""
    if ARMED.exists() or (UNITS / TIMER).exists():
        must(run, "systemctl", "disable", "--now", "--", TIMER)
        _clear(run)


def fire(run: Run) -> dict[str, Result]:
    """Undo what was not confirmed; told in a file that the next run reads."""
    names = _armed()
    results = {journal.control: undo(journal, run) for journal in journals() if journal.control in names}
    write(FIRED, json.dumps(sorted(names)).encode(), 0o600, 0, 0)
    run(["systemctl", "disable", "--", TIMER])
    _clear(run)
    return results


def rolled_back() -> list[str]:
    """The controls that were undone because nobody confirmed them, until the next ones are armed."""
    try:
        return [str(name) for name in json.loads(FIRED.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def _armed() -> list[str]:
    try:
        return [str(name) for name in json.loads(ARMED.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def _clear(run: Run) -> None:
    for path in (ARMED, UNITS / TIMER, UNITS / SERVICE):
        path.unlink(missing_ok=True)
    run(["systemctl", "daemon-reload"])
