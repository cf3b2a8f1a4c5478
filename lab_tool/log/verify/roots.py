"""Roots of a growing RFC 9162 tree, of which only the edge is kept."""

from __future__ import annotations

from hashlib import sha256


class Roots:
    """Takes leaf hashes in order; `root` is the root over all taken so far."""

    def __init__(self) -> None:
        # Of each level the nodes that still wait for a right neighbour: after `take`, none or one.
        self._waiting: list[list[bytes]] = [[]]

    def take(self, leaves: list[bytes]) -> None:
        """Add leaves; cheaper for many at once."""
        self._waiting[0] += leaves
        for level, row in enumerate(self._waiting):
            pairs = iter(row)
            parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
            self._waiting[level] = row[-1:] if len(row) % 2 else []
            if parents:
                if level + 1 == len(self._waiting):
                    self._waiting.append([])
                self._waiting[level + 1] += parents

    @property
    def root(self) -> bytes:
        """The root; of an empty tree the hash of nothing."""
        peaks = [row[0] for row in self._waiting if row]
        if not peaks:
            return sha256().digest()
        above = peaks[0]
        for peak in peaks[1:]:
            above = sha256(b"\x01" + peak + above).digest()
        return above
