"""Having clamd at work with the signatures that lie on the disk, and no longer than is wanted."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from . import signatures
from .clamd import Clamd, EngineError
from .files import STATE, private_folder, read_json, write_json

SERVICE, LISTENER = "clamav-daemon.service", "clamav-daemon.socket"
LOCK = f"{STATE}/engine.lock"
LOADED = f"{STATE}/loaded.json"
CONFIGURATION = (
    "/etc/clamav/clamd.conf",
    f"/etc/systemd/system/{SERVICE}.d/lab.conf",
    f"/etc/systemd/system/{LISTENER}.d/lab.conf",
    "/etc/apparmor.d/local/usr.sbin.clamd",
)
PROFILE = "/etc/apparmor.d/usr.sbin.clamd"
APPARMOR = "/sys/module/apparmor/parameters/enabled"
# All of ClamAV's signatures take a slow disk a while.
PATIENCE = 420.0
# The field's harmless test file, in two parts: as one it would be found in this file.
EICAR = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")

# argv -> exit code, standard output.
Run = Callable[[Sequence[str]], "tuple[int, str]"]


@contextmanager
def at_work(run: Run, stays: bool) -> Iterator[Clamd]:
    """clamd, started where it is not running or has loaded other signatures, and stopped after the last that used it
    unless it `stays`. Raises `EngineError`."""
    private_folder(STATE)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    clamd = Clamd()
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        _start(run, clamd)
        _prove(clamd)
        yield clamd
    finally:
        clamd.close()
        if not stays:
            _stop_if_last(run, lock)
        os.close(lock)


def is_up(run: Run) -> bool:
    """Whether the service runs."""
    return run(["systemctl", "is-active", "--quiet", SERVICE])[0] == 0


def _start(run: Run, clamd: Clamd) -> None:
    """One at a time: two scans that begin together must not restart it under each other."""
    with os.fdopen(os.open(f"{LOCK}.start", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        wanted = {
            "signatures": signatures.digest(),
            "configuration": [Path(path).stat().st_mtime_ns for path in CONFIGURATION],
        }
        loaded: Any = read_json(LOADED)
        if is_up(run) and loaded == {**wanted, "invocation": _invocation(run)} and clamd.ping():
            return
        if _has_apparmor():
            run(["apparmor_parser", "--replace", PROFILE])
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "stop", LISTENER, SERVICE])
        code, _ = run(["systemctl", "start", SERVICE])
        deadline = time.monotonic() + PATIENCE
        while code == 0 and not clamd.ping():
            if not is_up(run):
                raise EngineError(f"clamd does not start: {_why(run)}")
            if time.monotonic() > deadline:
                raise EngineError(f"clamd has not loaded its signatures within {PATIENCE:.0f} s")
            time.sleep(0.1)
        if code:
            raise EngineError(f"clamd does not start: {_why(run)}")
        write_json(LOADED, {**wanted, "invocation": _invocation(run)})


def _prove(clamd: Clamd) -> None:
    """A scan that could find nothing must not be called clean."""
    path = f"{STATE}/eicar-{os.getpid()}"
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as file:
            file.write(b"".join(EICAR))
            file.flush()
            file.seek(0)
            answer = clamd.scan(file.fileno())
    except OSError as error:
        raise EngineError(f"the engine can't be tried out: {error.strerror}") from error
    finally:
        Path(path).unlink(missing_ok=True)
    if not answer.signature:
        raise EngineError(f"the engine does not find the EICAR test file{': ' + answer.error if answer.error else ''}")


def _stop_if_last(run: Run, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    run(["systemctl", "stop", LISTENER, SERVICE])


def _has_apparmor() -> bool:
    enabled = Path(APPARMOR)
    return enabled.exists() and enabled.read_text(encoding="ascii").startswith("Y") and bool(which("apparmor_parser"))


def _invocation(run: Run) -> str:
    return run(["systemctl", "show", "--value", "--property=InvocationID", SERVICE])[1].strip()


def _why(run: Run) -> str:
    """What clamd said last."""
    _, out = run(["journalctl", "--unit", SERVICE, "--lines=30", "--output=cat", "--no-pager"])
    lines = [line.strip() for line in out.splitlines() if "error" in line.lower() or "malformed" in line.lower()]
    said = lines[-1].partition("ERROR: ")[2] or lines[-1] if lines else "it does not say why"
    return said[:200]
