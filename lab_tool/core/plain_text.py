"""Text that people read before they sign it: what is seen is what is there."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from lab_tool.errors import UsageError

# Control and format characters (terminal escapes, text running backwards, zero width), halves of a pair, private use,
# unassigned, and separators of lines and paragraphs.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Characters that take no space, though they are letters or marks: fillers, and selectors of a variant.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
LONGEST_REASON = 500
# Of any other text that is shown: a path, a name.
LONGEST_TEXT = 4096


def unfit_in(text: str, longest: int) -> str:
    """What makes `text` unfit to be shown and signed, in words; empty when it is fit."""
    if len(text) > longest:
        return f"more than {longest} characters"
    for character in text:
        if unicodedata.category(character) in UNSEEN or character in BLANK or _is_selector(character):
            return f"a character that can't be seen (U+{ord(character):04X})"
    return ""


def reason(text: str, option: str) -> str:
    """A reason somebody gave, without white space around it. Raises `UsageError` when it is empty or unfit."""
    text = text.strip()
    unfit = unfit_in(text, LONGEST_REASON) if text else "nothing"
    if unfit:
        raise UsageError(f"{option} holds {unfit}; say in one plain line why")
    return text


def require_plain(value: object) -> None:
    """Raise `ValueError` when a text anywhere in a value from the log is unfit to be shown."""
    if isinstance(value, str):
        unfit = unfit_in(value, LONGEST_TEXT)
        if unfit:
            raise ValueError(unfit)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            require_plain(key)
            require_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            require_plain(item)


def shown(text: str) -> str:
    """The text, or a mark in its place when it is unfit to be shown."""
    return "?" if unfit_in(text, LONGEST_TEXT) else text


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
