"""What every kind of item can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]
# What an item is like now, as the journal keeps it.
State = Mapping[str, Any]
# argv -> exit code, standard output, standard error.
Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
LONGEST = 200


class ProgramError(Exception):
    """A program did not do what it was to do."""


class Kind(Protocol):
    """Reads, compares, applies and gives back one kind of item."""

    def read(self, run: Run, target: str, wanted: Mapping[str, Any]) -> State:
        """What it is like now."""

    def holds(self, target: str, wanted: Mapping[str, Any], state: State) -> bool:
        """Whether that is what is wanted."""

    def apply(self, run: Run, target: str, wanted: Mapping[str, Any], state: State) -> Json:
        """Make it so; what had to be made on the way, for `restore`."""

    def restore(self, run: Run, target: str, before: State, made: Json) -> None:
        """Give back what was before."""

    def note(self, target: str, wanted: Mapping[str, Any], state: State) -> str:
        """Why it can't be had here, though nobody is to blame; empty if it can."""


def must(run: Run, *argv: str) -> str:
    """The output of a program that has to succeed. Raises `ProgramError` with its last line."""
    code, out, err = run(argv)
    if code != 0:
        lines = (err or out).strip().splitlines()
        raise ProgramError(f"{' '.join(argv)}: {lines[-1][:LONGEST] if lines else f'exit code {code}'}")
    return out
