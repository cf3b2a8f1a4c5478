"""Who sits at the PC. People are counted, not named: pupils' names have no place in a log that is never edited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .programs import Programs

GRAPHICAL = ("x11", "wayland", "mir")
PROPERTIES = ("Class", "State", "Type", "TTY", "Leader", "Remote")


@dataclass(frozen=True)
class Session:
    """Somebody's session: `terminal` (empty on a desktop that has none), and whether it came over the network."""

    terminal: str
    remote: bool
    leader: int


def present(programs: Programs) -> list[Session]:
    """The sessions of people, without the one this runs in, and without those that have neither desktop nor terminal
    (Ansible's other connections, file transfers)."""
    own = set(_ancestors())
    found: dict[str, Session] = {}
    for session in (*_of_logind(programs), *_of_who(programs)):
        if session.leader not in own:
            found.setdefault(session.terminal or f"leader {session.leader}", session)
    return list(found.values())


def _of_logind(programs: Programs) -> Iterator[Session]:
    try:
        code, out, _ = programs("loginctl", "list-sessions", "--no-legend")
    except FileNotFoundError:
        return
    identifiers = [line.split()[0] for line in out.splitlines() if line.strip()] if code == 0 else []
    wanted = [f"--property={name}" for name in PROPERTIES]
    for identifier in identifiers:
        # A session that ended meanwhile says nothing.
        _, shown, _ = programs("loginctl", "show-session", identifier, *wanted)
        fields = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        session = read_logind(fields)
        if session:
            yield session


def read_logind(fields: dict[str, str]) -> Session | None:
    """A session of a person from the properties logind shows, or None."""
    if fields.get("Class") != "user" or fields.get("State") == "closing":
        return None
    if fields.get("Type") not in GRAPHICAL and not fields.get("TTY"):
        return None
    terminal = fields.get("TTY", "").replace("/dev/", "")
    return Session(terminal, fields.get("Remote") == "yes", int(fields.get("Leader") or 0))


def _of_who(programs: Programs) -> Iterator[Session]:
    """Logins that logind does not know: on a PC without it, or by programs that don't ask it."""
    code, out, _ = programs("who", "--users")
    if code == 0:
        for line in out.splitlines():
            session = read_who(line)
            if session:
                yield session


def read_who(line: str) -> Session | None:
    """One line of `who --users`: name, terminal, date, time, idle, process, host in brackets; None if it is not."""
    fields = line.split()
    if len(fields) < 6 or not fields[5].isdigit():
        return None
    origin = fields[6].strip("()") if len(fields) > 6 else ""
    # A desktop writes its display, such as (:0), where others write the host they came from.
    return Session(fields[1], bool(origin) and not origin.startswith(":"), int(fields[5]))


def _ancestors() -> Iterator[int]:
    """This process and all above it: sshd with its session among them."""
    process = "self"
    while process not in ("0", ""):
        try:
            status = (Path("/proc") / process / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        yield int(fields["Pid"])
        process = fields["PPid"].strip()
