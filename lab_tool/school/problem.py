"""What is wrong with an inventory: every problem with its place and its cure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from lab_tool.errors import UsageError

NEXT_COMMAND = "lab rooms check"
# `lab rooms check` shows all; an error on the way to something else shows so many.
MOST_SHOWN = 25
LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to put right. `file` as a person would type it; `line` from 1, or 0 for the file as a whole."""

    file: str
    line: int
    what: str
    fix: str = ""

    @property
    def where(self) -> str:
        """`inventory/rooms/b101.yml:14`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return " ".join((f"{self.where}:", *(_sentence(part) for part in (self.what, self.fix) if part)))


class InventoryError(UsageError):
    """The inventory is refused whole; `problems` holds everything that was found, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        shown = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            shown.append(f"... and {len(self.problems) - MOST_SHOWN} more.")
        first = self.problems[0]
        shown[0] = shown[0].removeprefix(f"{first.where}: ")
        super().__init__("\n".join(shown), where=first.where, next_command=NEXT_COMMAND)


def _sentence(words: str) -> str:
    return words if words.endswith(("?", "...")) else f"{words}."


def quote(value: object) -> str:
    """A value from a file for a message: short, and nothing in it reaches a terminal as a control sequence."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`Did you mean 'wang_fang'?`, or the few words there are, or nothing."""
    words = sorted(known)
    close = get_close_matches(str(word), words, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(words)}" if 0 < len(words) <= 12 else ""
