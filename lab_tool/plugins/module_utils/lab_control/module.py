"""Programs started through an Ansible module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kind import Run

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "NEEDRESTART_SUSPEND": "1"}
# Seconds after which a program that asks something, or hangs, is ended. In the foreground: apt stops itself where it
# may not write to the terminal.
PATIENCE = ("timeout", "--foreground", "--kill-after=10", "900")


def runner(module: Any) -> Run:
    """Starts programs as Ansible wants it: never asking anybody anything, and never for ever."""

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        code, out, err = module.run_command([*PATIENCE, *argv], environ_update=ENVIRONMENT)
        return int(code), str(out), str(err)

    return run
