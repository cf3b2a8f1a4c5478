"""Text of others, made fit to be looked at."""

from __future__ import annotations

# Letters and marks that take no space: fillers, and selectors of a variant.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
IDEOGRAPHIC_SPACE = "\u3000"


def plain(text: str, *, keep: str = "") -> str:
    """`text` without anything that a terminal obeys, that turns or hides what follows, or that can't be seen; those
    characters are shown as escapes, but for those in `keep`.
    """
    if text.isprintable() and BLANK.isdisjoint(text):
        return text
    return "".join(letter if _is_seen(letter) or letter in keep else _escaped(letter) for letter in text)


def _is_seen(letter: str) -> bool:
    return (letter.isprintable() and letter not in BLANK) or letter == IDEOGRAPHIC_SPACE


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
