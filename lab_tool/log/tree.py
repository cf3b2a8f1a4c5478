"""The Merkle tree over the log, kept in files that may be thrown away, so that neither a root nor a proof needs the
log to be read again.

`index/tree-K` holds the hashes of all complete subtrees of 2^K entries, one after the other. `index/tree.json` holds
how far the log was read and the hashes of the complete subtrees at its end (the peaks), from which the root follows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar

from lab_tool.errors import LogWriteError, VerificationError
from lab_tool.log import merkle
from lab_tool.log.derived import derived_folder
from lab_tool.log.merkle import HASH_BYTES
from lab_tool.log.store import ENTRIES, refuse_if_emptied, settled_size
from lab_tool.log.tail import last_line

BATCH = 65_536
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree over `size` entries, which take up `end` bytes of the log; `last` is the newest leaf, `peaks` maps
    level to hash.
    """

    folder: Path
    size: int = 0
    end: int = 0
    last: bytes = b""
    peaks: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def root(self) -> bytes:
        """The root over all entries."""
        return merkle.fold([self.peaks[level] for level in sorted(self.peaks, reverse=True)])

    def node(self, level: int, index: int) -> bytes:
        """For `lab_tool.log.merkle`; what comes of it has to be checked against a root."""
        # Not to wait for the other end, should it be a pipe.
        file = os.open(_level_file(self.folder, level), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.pread(file, HASH_BYTES, index * HASH_BYTES)
        finally:
            os.close(file)

    def root_at(self, size: int) -> bytes:
        """The root when there were `size` entries. Raises `ValueError` when there never were that many."""
        found = merkle.root(size, self.node)
        if not merkle.extends(size, found, self.size, self.root, merkle.consistency_proof(size, self.size, self.node)):
            raise _DamagedError
        return found

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Shows entry `index` in the tree of `size` entries."""
        proof = merkle.inclusion_proof(index, size, self.node)
        if not merkle.includes(self.node(0, index), index, size, proof, self.root_at(size)):
            raise _DamagedError
        return proof

    def consistency_proof(self, old: int, size: int) -> list[bytes]:
        """Shows that the tree of `size` entries began as the tree of `old` entries."""
        proof = merkle.consistency_proof(old, size, self.node)
        if not merkle.extends(old, self.root_at(old), size, self.root_at(size), proof):
            raise _DamagedError
        return proof


class _DamagedError(Exception):
    """The files do not lead to the root: they are thrown away and made anew."""


def ask(directory: Path, question: Callable[[Tree], Answer]) -> Answer:
    """Ask the tree over the log in `directory`, grown to its end; nobody else grows it meanwhile.

    Raises `VerificationError` when the log is not the one the tree was grown over, `LogWriteError` when its files can't
    be written.
    """
    if settled_size(directory) == 0:
        refuse_if_emptied(directory)
        return question(Tree(directory))
    with derived_folder(directory, "tree") as folder, (directory / ENTRIES).open("rb") as entries:
        # Looked up only now: another process may have grown the tree while this one waited.
        size = settled_size(directory)
        try:
            return question(_grow(_read(folder), entries, size))
        except (_DamagedError, OSError):
            return _ask_anew(folder, entries, size, question)


def _ask_anew(folder: Path, entries: BinaryIO, size: int, question: Callable[[Tree], Answer]) -> Answer:
    """Throw the files away, and grow the tree from the log."""
    try:
        for path in folder.glob("tree-*"):
            path.unlink()
        return question(_grow(Tree(folder), entries, size))
    except OSError as error:
        raise LogWriteError(f"the tree over the log can't be written: {error}", where=str(folder)) from error


def _grow(tree: Tree, entries: BinaryIO, size: int) -> Tree:
    if tree.size and not _stands_on(tree, entries.fileno(), size):
        raise VerificationError(
            f"the log is not the one that was read before: entry {tree.size - 1} is not where it was",
            where=entries.name,
            next_command="lab log verify",
        )
    if tree.end == size:
        return tree
    entries.seek(tree.end)
    while tree.end < size:
        leaves, end = _leaves(entries, tree.end, size)
        tree = _grown(tree, leaves, end)
    _write(tree)
    return tree


def _leaves(entries: BinaryIO, at: int, size: int) -> tuple[list[bytes], int]:
    """Up to `BATCH` leaf hashes of lines, and where those lines end; `size` is an end of a line."""
    leaves: list[bytes] = []
    for line in entries:
        leaves.append(merkle.leaf(line[:-1]))
        at += len(line)
        if len(leaves) == BATCH or at >= size:
            break
    return leaves, at


def _grown(tree: Tree, leaves: list[bytes], end: int) -> Tree:
    """Add leaves level by level: two neighbours make a node of the next level, an odd one is a peak."""
    peaks: dict[int, bytes] = {}
    level, added = 0, leaves
    while added or any(known >= level for known in tree.peaks):
        peak = tree.peaks.get(level)
        row = [peak, *added] if peak else added
        _append(tree.folder, level, (tree.size >> level), added)
        pairs = iter(row)
        parents = [merkle.parent(left, right) for left, right in zip(pairs, pairs, strict=False)]
        if len(row) % 2:
            peaks[level] = row[-1]
        level, added = level + 1, parents
    return Tree(tree.folder, tree.size + len(leaves), end, leaves[-1], peaks)


def _append(folder: Path, level: int, at: int, hashes: list[bytes]) -> None:
    """Write at a place, not at the end: what a crash left behind there is the same or is overwritten."""
    if not hashes:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    file = os.open(_level_file(folder, level), flags, 0o600)
    with os.fdopen(file, "wb") as out:
        out.seek(at * HASH_BYTES)
        out.write(b"".join(hashes))


def _stands_on(tree: Tree, entries: int, size: int) -> bool:
    """Whether the log still has, at its place, the entry the tree was grown to."""
    if tree.end > size or os.pread(entries, 1, tree.end - 1) != b"\n":
        return False
    line = last_line(entries, tree.end)
    return line is not None and merkle.leaf(line) == tree.last


def _level_file(folder: Path, level: int) -> Path:
    return folder / f"tree-{level}"


def _read(folder: Path) -> Tree:
    """The tree as it was left; an empty one when it is missing or damaged."""
    try:
        text = (folder / "tree.json").read_text(encoding="ascii")
        head, _, digest = text.rstrip("\n").rpartition("\n")
        if sha256(head.encode()).hexdigest() != digest:
            return Tree(folder)
        fields = json.loads(head)
        peaks = {int(level): bytes.fromhex(value) for level, value in fields["peaks"].items()}
        return Tree(folder, fields["size"], fields["end"], bytes.fromhex(fields["last"]), peaks)
    except (OSError, ValueError, KeyError):
        return Tree(folder)


def _write(tree: Tree) -> None:
    """Replace `tree.json` in one step; its last line is its own digest, so that half a file is no file."""
    peaks = {str(level): value.hex() for level, value in tree.peaks.items()}
    head = json.dumps({"size": tree.size, "end": tree.end, "last": tree.last.hex(), "peaks": peaks}, sort_keys=True)
    unfinished = tree.folder / "tree.new"
    unfinished.write_text(f"{head}\n{sha256(head.encode()).hexdigest()}\n", encoding="ascii")
    unfinished.chmod(0o600)
    unfinished.rename(tree.folder / "tree.json")
