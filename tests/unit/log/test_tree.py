"""The tree's files: the same roots and proofs as from the entries, whatever happens to the files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab_tool.errors import VerificationError
from lab_tool.log import merkle, tree
from lab_tool.log.entry import Entry
from tests.unit.log.test_merkle import definition

Add = Callable[[int], list[Entry]]


def leaves(log: Path) -> list[bytes]:
    return [merkle.leaf(line) for line in (log / "entries.jsonl").read_bytes().splitlines()]


def check(log: Path) -> None:
    """Root, all earlier roots, and proofs."""
    expected = leaves(log)
    size = len(expected)

    def everything(grown: tree.Tree) -> None:
        assert grown.size == size
        assert grown.root == definition(expected)
        for old in range(size + 1):
            assert grown.root_at(old) == definition(expected[:old])
            proof = grown.consistency_proof(old, size)
            assert merkle.extends(old, definition(expected[:old]), size, grown.root, proof)
        for seq in range(size):
            assert merkle.includes(expected[seq], seq, size, grown.inclusion_proof(seq, size), grown.root)

    tree.ask(log, everything)


@pytest.mark.parametrize("batch", [1, 2, 3, 65_536])
def test_growth(log: Path, add: Add, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(tree, "BATCH", batch)
    for count in (1, 1, 2, 5, 8, 3, 1):
        add(count)
        check(log)


def test_no_log_has_the_empty_root(log: Path) -> None:
    assert tree.ask(log, lambda grown: (grown.size, grown.root)) == (0, merkle.EMPTY_ROOT)
    assert not log.exists()


def test_growth_reads_only_what_is_new(log: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add(20)
    check(log)
    add(2)
    hashed: list[bytes] = []
    real = merkle.leaf

    def counted(data: bytes) -> bytes:
        hashed.append(data)
        return real(data)

    monkeypatch.setattr(merkle, "leaf", counted)
    tree.ask(log, lambda grown: grown.root)
    # The entry the tree had grown to, and the two new ones.
    assert len(hashed) == 3


@pytest.mark.parametrize("name", ["tree-0", "tree-1", "tree-2", "tree.json"])
@pytest.mark.parametrize("harm", ["remove", "flip", "cut", "empty"])
def test_damaged_files_are_made_anew(log: Path, add: Add, name: str, harm: str) -> None:
    add(13)
    check(log)
    path = log / "index" / name
    data = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"flip": flipped, "cut": data[:middle], "empty": b""}[harm])
    check(log)
    add(4)
    check(log)


def test_where_index_cannot_be_written_the_tree_is_grown_for_this_once(log: Path, add: Add) -> None:
    add(5)
    (log / "index").write_bytes(b"no folder can be made here")
    check(log)


def test_another_log_in_its_place_is_noticed(log: Path, add: Add) -> None:
    add(5)
    check(log)
    path = log / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"li-na", b"wu-li"))
    with pytest.raises(VerificationError, match="not the one that was read"):
        tree.ask(log, lambda grown: grown.root)


def test_a_cut_log_is_noticed(log: Path, add: Add) -> None:
    add(5)
    check(log)
    path = log / "entries.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(VerificationError, match="not the one that was read"):
        tree.ask(log, lambda grown: grown.root)


def test_a_log_that_is_gone_is_noticed(log: Path, add: Add) -> None:
    add(5)
    check(log)
    (log / "entries.jsonl").unlink()
    with pytest.raises(VerificationError, match="there was one"):
        tree.ask(log, lambda grown: grown.root)
    shutil.rmtree(log)


def test_a_torn_end_is_not_grown_over(log: Path, add: Add) -> None:
    add(5)
    with (log / "entries.jsonl").open("ab") as file:
        file.write(b"\0\0\n\0torn")
    assert tree.ask(log, lambda grown: grown.size) == 5
    add(1)
    check(log)
