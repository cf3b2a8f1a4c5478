"""The one error tree. `lab_tool.cli` catches `LabError` once and turns it into a message and an exit code."""

from __future__ import annotations

from typing import ClassVar


class LabError(Exception):
    """Something a user must be told: what happened, where, and the next command.

    `where` is a place such as `inventory/rooms/b101.yml:14`; `next_command` is what to type next, such as
    `lab rooms check`. Both may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", next_command: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_command = next_command

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" Run: {self.next_command}" if self.next_command else ""
        return f"{place}{self.what}{hint}"


class UsageError(LabError):
    """What was asked for makes no sense: an unknown room, a mistyped id, a bad inventory."""

    exit_code = 2


class HostsError(LabError):
    """Some host failed, was unreachable or is missing."""

    exit_code = 3


class VerificationError(LabError):
    """The log does not verify, or can't be trusted enough to go on."""

    exit_code = 4


class RefusedError(LabError):
    """A gate is closed: no valid approval, not entitled, outside the window, host in use."""

    exit_code = 5


class LogWriteError(LabError):
    """An entry could not be made durable; what was to be recorded must not be done."""
