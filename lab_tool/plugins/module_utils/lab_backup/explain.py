"""What restic says, in words that say what to do; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

CREDENTIALS = re.compile(r"(?<=//)[^/\s@]+@")
LONGEST = 200
# Looked for in this order: the first that is found is what it comes from.
MEANINGS: Sequence[tuple[str, str]] = (
    (r"wrong password|no key found", "it does not open with this PC's password (another repository, or a wrong key)"),
    (r"\b401\b", "the server does not know this PC's account, or its password is another"),
    (r"x509|certificate", "the server's certificate is not one of the school's authority for that address"),
    (r"connection refused|no such host|timeout|timed out|unreachable|no route|EOF$", "the server does not answer"),
    (r"unable to open config file.*does not exist|config/> does not exist", "there is no repository on the server"),
    (r"\(500\)", "the server can't store the data: its disk is full or broken"),
    (r"\(403\)", "the server refuses data (append-only)"),
    (r"already locked", "it is locked by somebody else"),
    (r"ciphertext verification failed|does not match|invalid data|not contained in|is damaged", "data is damaged"),
)


def explain(said: str) -> str:
    """Why restic failed, by what it said; its own last line where nothing else is known."""
    for pattern, meaning in MEANINGS:
        if re.search(pattern, said, re.IGNORECASE | re.MULTILINE):
            return meaning
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return plain(lines[-1]) if lines else "restic gave no reason"


def plain(text: str) -> str:
    """One short line of it, without a password that stands in an address."""
    line = " ".join(CREDENTIALS.sub("", text).split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "..."


def damage(said: str) -> str:
    """The first thing that `restic check` found wrong."""
    errors = [
        line for line in said.splitlines() if re.search(r"^error|Pack ID does not match|ciphertext|damaged|hash", line)
    ]
    return plain(errors[0]) if errors else explain(said)
