"""The tree against the published vectors of Certificate Transparency, and against the definition in RFC 9162."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.log import merkle
from lab_tool.log.verify.roots import Roots

# Inputs, roots, paths and proofs of the reference implementations of RFC 6962, whose tree RFC 9162 took over.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
PATHS = {
    (0, 1): [],
    (0, 2): [A],
    (1, 2): [ROOTS[1]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], B, D],
    (0, 8): [A, B, C],
    (5, 8): [D, E, ROOTS[4]],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [A, B, C],
    (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a", E, ROOTS[4]],
    (2, 5): [B, D],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        ROOTS[4],
    ],
}


def definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return merkle.parent(definition(leaves[:half]), definition(leaves[half:]))


def nodes(leaves: Sequence[bytes]) -> merkle.Node:
    """Complete subtrees, computed where they are asked for."""
    return lambda level, index: definition(leaves[index << level : (index + 1) << level])


LEAVES = [merkle.leaf(bytes.fromhex(data)) for data in INPUTS]
NODE = nodes(LEAVES)
sizes = st.integers(1, 70)


def unhex(hashes: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in hashes]


def test_hash_rules() -> None:
    assert merkle.EMPTY_ROOT.hex() == ROOTS[0]
    assert merkle.leaf(b"").hex() == ROOTS[1]
    leaf = "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert merkle.leaf(b"L123456").hex() == leaf
    inner = "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert merkle.parent(b"N123", b"N456").hex() == inner


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    assert merkle.root(size, NODE).hex() == ROOTS[size]
    roots = Roots()
    roots.take(LEAVES[:size])
    assert roots.root.hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_inclusion(index: int, size: int) -> None:
    proof = merkle.inclusion_proof(index, size, NODE)
    assert proof == unhex(PATHS[index, size])
    assert merkle.includes(LEAVES[index], index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "size"), CONSISTENCY)
def test_consistency(old: int, size: int) -> None:
    proof = merkle.consistency_proof(old, size, NODE)
    assert proof == unhex(CONSISTENCY[old, size])
    assert merkle.extends(old, bytes.fromhex(ROOTS[old]), size, bytes.fromhex(ROOTS[size]), proof)


@pytest.mark.parametrize(("index", "size"), [key for key, proof in PATHS.items() if proof])
def test_wrong_inclusion_is_refused(index: int, size: int) -> None:
    proof, root, leaf = unhex(PATHS[index, size]), bytes.fromhex(ROOTS[size]), LEAVES[index]
    junk = bytes(32)
    wrong = [
        (leaf, index + 1, size, proof, root),
        (leaf, index ^ 2, size, proof, root),
        (leaf, index, size * 2, proof, root),
        (leaf, index, size // 2, proof, root),
        (junk, index, size, proof, root),
        (b"short", index, size, proof, root),
        (leaf, index, size, proof, junk),
        (leaf, index, size, [*proof, b""], root),
        (leaf, index, size, [*proof, root], root),
        (leaf, index, size, [root, *proof], root),
        (leaf, index, size, proof[:-1], root),
        (leaf, -1, size, proof, root),
        (leaf, index, 0, proof, root),
        *((leaf, index, size, [*proof[:at], flipped(proof[at]), *proof[at + 1 :]], root) for at in range(len(proof))),
    ]
    for case in wrong:
        assert not merkle.includes(*case), case


@pytest.mark.parametrize(("old", "size"), [key for key, proof in CONSISTENCY.items() if proof])
def test_wrong_consistency_is_refused(old: int, size: int) -> None:
    proof, before, after = unhex(CONSISTENCY[old, size]), bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[size])
    wrong = [
        (old - 1, before, size, after, proof),
        (old + 1, before, size, after, proof),
        (old ^ 2, before, size, after, proof),
        (old, before, size * 2, after, proof),
        (old, before, size // 2, after, proof),
        (old, bytes(32), size, after, proof),
        (old, before, size, bytes(32), proof),
        (old, after, size, before, proof),
        (old, before, size, after, []),
        (old, before, size, after, [*proof, b""]),
        (old, before, size, after, [*proof, after]),
        (old, before, size, after, [before, *proof]),
        (old, before, size, after, [proof[0], *proof]),
        (old, before, size, after, proof[:-1]),
        *((old, before, size, after, [*proof[:at], flipped(proof[at]), *proof[at + 1 :]]) for at in range(len(proof))),
    ]
    for case in wrong:
        assert not merkle.extends(*case), case


def test_trivial_growth() -> None:
    root = bytes.fromhex(ROOTS[5])
    assert merkle.extends(5, root, 5, root, [])
    assert merkle.extends(0, merkle.EMPTY_ROOT, 5, root, [])
    assert not merkle.extends(0, merkle.EMPTY_ROOT, 5, root, [root])
    assert not merkle.extends(5, root, 5, bytes(32), [])
    assert not merkle.extends(0, root, 5, root, [])


@given(sizes, st.data())
def test_any_proof_holds_and_no_other_does(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf(bytes([number])) for number in range(size)]
    node = nodes(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    root, before = definition(leaves), definition(leaves[:old])
    assert merkle.root(size, node) == root
    inclusion = merkle.inclusion_proof(index, size, node)
    assert merkle.includes(leaves[index], index, size, inclusion, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index)) if size > 1 else None
    if other is not None:
        assert not merkle.includes(leaves[other], index, size, inclusion, root)
    consistency = merkle.consistency_proof(old, size, node)
    assert merkle.extends(old, before, size, root, consistency)
    if old:
        assert not merkle.extends(old, flipped(before), size, root, consistency)


@given(st.lists(st.integers(0, 40), max_size=8))
def test_roots_of_a_growing_tree(batches: list[int]) -> None:
    roots, leaves = Roots(), []
    for number, batch in enumerate(batches):
        more = [merkle.leaf(bytes([number, each])) for each in range(batch)]
        leaves += more
        roots.take(more)
        assert roots.root == definition(leaves)


def flipped(data: bytes) -> bytes:
    """With one bit turned."""
    return bytes([data[0] ^ 8, *data[1:]])
