"""File names as text that breaks neither a log nor a terminal."""

from __future__ import annotations

import os

LONGEST = 300


def shown(path: bytes | str) -> str:
    """The path with everything that is not plainly printable escaped, the middle cut out where it is very long."""
    text = "".join(map(_shown, os.fsdecode(path)))
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}[...]{text[-half:]}"


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    # A byte that is no UTF-8: Python keeps it as a lone surrogate.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii") if code < 0xD800 or code > 0xDFFF else f"\\u{code:04x}"
