"""The Merkle tree of RFC 9162: hash rules, roots, proofs, and how a third party checks them.

A tree is asked for through `node(level, index)`: the hash over the complete subtree of 2^level leaves that begins at
leaf index x 2^level. All hashes are 32 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

Node = Callable[[int, int], bytes]

EMPTY_ROOT = sha256().digest()
HASH_BYTES = 32


def leaf(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def parent(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(size: int, node: Node) -> bytes:
    """The root over the first `size` leaves."""
    return _subtree(0, size, node) if size else EMPTY_ROOT


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root above the complete subtrees that make up a tree, largest first."""
    if not peaks:
        return EMPTY_ROOT
    above = peaks[-1]
    for peak in reversed(peaks[:-1]):
        above = parent(peak, above)
    return above


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]): what is needed to get from that leaf to the root, nearest first."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_subtree(middle, end, node))
            end = middle
        else:
            proof.append(_subtree(start, middle, node))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, size: int, node: Node) -> list[bytes]:
    """PROOF(old, D[size]): what shows that the tree of `size` begins with the tree of `old`."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} does not extend one of {old}")
    proof: list[bytes] = []
    if old in (0, size):
        return proof
    start, end, is_root = 0, size, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_subtree(middle, end, node))
            end = middle
        else:
            proof.append(_subtree(start, middle, node))
            start, is_root = middle, False
    if not is_root:
        proof.append(_subtree(start, end, node))
    return proof[::-1]


def includes(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether `proof` shows the leaf at `index` of the tree (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _well_formed([leaf_hash, root_hash, *proof]):
        return False
    first, last, above = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            above = parent(sibling, above)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            above = parent(above, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and above == root_hash


def extends(old: int, old_root: bytes, size: int, root_hash: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `size` begins with the tree of `old` (RFC 9162, section 2.1.4.2)."""
    if not 0 <= old <= size or not _well_formed([old_root, root_hash, *proof]):
        return False
    if old == size:
        return not proof and old_root == root_hash
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    first, last = old - 1, size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            before, after = parent(sibling, before), parent(sibling, after)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            after = parent(after, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and before == old_root and after == root_hash


def _subtree(start: int, end: int, node: Node) -> bytes:
    """The hash over the leaves from `start` to before `end`, where `start` is where such a subtree may begin."""
    peaks = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(node(level, start >> level))
        start += 1 << level
    return fold(peaks)


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def _well_formed(hashes: Sequence[bytes]) -> bool:
    return all(len(each) == HASH_BYTES for each in hashes)
