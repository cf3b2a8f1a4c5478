"""The one place that starts other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program that ended left behind."""

    code: int
    out: bytes
    err: bytes

    @property
    def error_text(self) -> str:
        """The last line of standard error, for a message."""
        lines = self.err.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    show_errors: bool = False,
) -> Completed:
    """Run `argv` (a list, never a shell line) to its end; `timeout` in seconds.

    With `show_errors` its standard error goes to the user as it comes, and is not kept. Raises `FileNotFoundError`
    and `subprocess.TimeoutExpired`.
    """
    err = None if show_errors else subprocess.PIPE
    done = subprocess.run(
        list(argv), input=input, env=env, cwd=cwd, timeout=timeout, stdout=subprocess.PIPE, stderr=err, check=False
    )
    return Completed(done.returncode, done.stdout, done.stderr or b"")


def start(
    argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own (Ctrl-C on the terminal does not reach it), its output in a pipe."""
    return subprocess.Popen(
        list(argv),
        env=env,
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=err,
        start_new_session=True,
    )
