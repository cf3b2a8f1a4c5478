"""The one place of the testbed that starts other programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.errors import RoomError


def run(
    *argv: str | Path,
    input: str = "",
    check: bool = True,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it said; `timeout` in seconds.

    It gets a session of its own, so that Ctrl-C on the terminal reaches only the builder, which then tears down in
    order. Raises `RoomError` with the program's last words when `check` and it failed, when it is missing, or after
    `timeout`.
    """
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=input,
            env=env,
            timeout=timeout,
            text=True,
            errors="replace",
            capture_output=True,
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise RoomError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise RoomError(f"{_shown(words)}: not done after {timeout} s") from error
    if check and done.returncode:
        last = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-15:])
        raise RoomError(f"{_shown(words)}: exit code {done.returncode}\n{last}".rstrip())
    return done


def start(*argv: str | Path) -> subprocess.Popen[str]:
    """Start a program that goes on beside this one, in a session of its own; its standard output is a pipe."""
    return subprocess.Popen(
        [os.fspath(word) for word in argv],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _shown(words: list[str]) -> str:
    text = " ".join(words)
    return text if len(text) < 200 else f"{text[:200]} ..."
