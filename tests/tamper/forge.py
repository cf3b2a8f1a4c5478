"""What a dishonest administrator does to a log, with the tools he has: an editor, the hash rules, maybe the key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab_tool import canonical, signature
from lab_tool.log import merkle
from lab_tool.log.entry import NO_PREV, leaf_hash
from lab_tool.log.note import NAMESPACE, Checkpoint, signed_text


def read(entries: Path) -> list[bytes]:
    """The lines of a log, without line ends."""
    return entries.read_bytes().splitlines()


def write(entries: Path, lines: Sequence[bytes]) -> None:
    """Put a log in another one's place."""
    entries.write_bytes(b"".join(line + b"\n" for line in lines))


def changed(line: bytes, **fields: Any) -> bytes:
    """A line with other values in some of its fields, in canonical form again."""
    return canonical.dump({**json.loads(line), **fields})


def rechained(lines: Sequence[bytes], start: int = 0) -> list[bytes]:
    """The lines, numbered and linked anew from `start` on."""
    done = list(lines[:start])
    prev = leaf_hash(done[-1]) if done else NO_PREV
    for seq, line in enumerate(lines[start:], start):
        done.append(changed(line, seq=seq, prev=prev))
        prev = leaf_hash(done[-1])
    return done


def signed(lines: Sequence[bytes], key: Path, origin: str, time: str) -> Checkpoint:
    """A checkpoint over exactly these lines, by whoever has `key`."""
    return signed_root(len(lines), root(lines), key, origin, time)


def signed_root(size: int, top: bytes, key: Path, origin: str, time: str) -> Checkpoint:
    """A checkpoint over any size and root."""
    text = signed_text(origin, size, top, time)
    return Checkpoint(origin, size, top, time, text, signature.sign(text, key, NAMESPACE))


def root(lines: Sequence[bytes]) -> bytes:
    """The root over lines, straight from the definition in RFC 9162."""
    if not lines:
        return merkle.EMPTY_ROOT
    if len(lines) == 1:
        return merkle.leaf(lines[0])
    half = 1
    while half * 2 < len(lines):
        half *= 2
    return merkle.parent(root(lines[:half]), root(lines[half:]))
