"""One entry proved to somebody who sees nothing else of the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab_tool import signature
from lab_tool.clock import parse_utc
from lab_tool.errors import UsageError, VerificationError
from lab_tool.log import merkle, tree
from lab_tool.log.checkpoint import local_checkpoints
from lab_tool.log.entry import Entry, read_line
from lab_tool.log.keys import SIGNER
from lab_tool.log.note import NAMESPACE, Checkpoint, parse
from lab_tool.log.query import line_of
from lab_tool.school.model import Key

VERSION = 1


@dataclass(frozen=True, slots=True)
class Proved:
    """An entry that stood at its place in the log the checkpoint speaks of."""

    entry: Entry
    checkpoint: Checkpoint


def prove(directory: Path, seq: int, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """The proof of entry `seq` against `checkpoint`, or against the newest one kept beside the log.

    Raises `UsageError` when there is no such entry or no checkpoint covers it, `VerificationError` when the log isn't
    the one the checkpoint speaks of.
    """
    line = line_of(directory, seq)
    if line is None:
        raise UsageError(f"there is no entry {seq}", next_command="lab log show --last 1")
    against = checkpoint or _newest(directory)
    if against is None or against.size <= seq:
        raise UsageError(f"no checkpoint covers entry {seq} yet", next_command="lab log checkpoint")
    size = against.size
    grown_size, root, proof = tree.ask(
        directory,
        lambda grown: (
            (grown.size, grown.root_at(size), grown.inclusion_proof(seq, size))
            if size <= grown.size
            else (grown.size, b"", [])
        ),
    )
    if root != against.root or not merkle.includes(merkle.leaf(line), seq, size, proof, root):
        raise VerificationError(
            f"the log of {grown_size} entries is not the one of the checkpoint of {size}",
            where=str(directory),
            next_command="lab log verify",
        )
    return {
        "v": VERSION,
        "seq": seq,
        "entry": line.decode("ascii"),
        "proof": [each.hex() for each in proof],
        "checkpoint": against.encode().decode(),
    }


def check_proof(document: Any, keys: tuple[Key, ...], now: datetime) -> Proved:
    """What a proof proves. Raises `UsageError` when it is none, `VerificationError` when it doesn't hold."""
    try:
        line = document["entry"].encode("ascii")
        seq = document["seq"]
        proof = [bytes.fromhex(each) for each in document["proof"]]
        checkpoint = parse(document["checkpoint"].encode())
        entry = read_line(line)
        at = parse_utc(checkpoint.time) if checkpoint.time else now
        if document["v"] != VERSION or type(seq) is not int:
            raise ValueError("not version 1")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"not a proof of an entry: {error}") from error
    if signature.signer_of(checkpoint.signed, checkpoint.signature, NAMESPACE, [(SIGNER, key) for key in keys], at):
        if entry.seq == seq and merkle.includes(merkle.leaf(line), seq, checkpoint.size, proof, checkpoint.root):
            return Proved(entry, checkpoint)
        raise VerificationError("the entry does not lead to the checkpoint's root: it was not in the log like this")
    raise VerificationError("no trusted key signed the checkpoint of this proof")


def read_proof(path: Path) -> Any:
    """The JSON of a file. Raises `UsageError`."""
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"can't be read: {error}", where=str(path)) from error


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands there twice")
    return fields


def _newest(directory: Path) -> Checkpoint | None:
    """The largest checkpoint beside the log; its signature is for the reader of the proof to check."""
    found = []
    for _, text in local_checkpoints(directory):
        try:
            found.append(parse(text))
        except ValueError:
            continue
    return max(found, key=lambda each: (each.size, each.time), default=None)
