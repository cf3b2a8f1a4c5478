"""What a captured PC sent is brought here whole, held to one digest, or refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from lab_tool.errors import LabError, RefusedError
from lab_tool.imaging.format.packs import dump_index, parse_index
from lab_tool.imaging.orders.fetch import fetch
from lab_tool.imaging.orders.parts import Whole, verify
from tests.support.captured import MIB, Sent, add_pack, change, send


@dataclass
class Shelf:
    """The server's folder. `spoil` changes what is sent; after `cut` files the connection breaks."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    cut: int = -1
    spoil: Callable[[str, bytes], bytes] = lambda name, data: data

    def sizes(self) -> Mapping[str, int]:
        """What is there."""
        return {path.name: path.stat().st_size for path in self.folder.iterdir()}

    @contextmanager
    def read(self, names: Sequence[str]) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
        """These."""

        def files() -> Iterator[tuple[str, IO[bytes]]]:
            for name in names:
                if len(self.asked) == self.cut:
                    raise LabError("the connection broke off")
                self.asked.append(name)
                yield name, io.BytesIO(self.spoil(name, (self.folder / name).read_bytes()))

        yield files()


def nothing(done: int, total: int) -> None:
    """Progress that nobody sees."""


@pytest.fixture
def sent(tmp_path: Path) -> Sent:
    """On the server."""
    return send(tmp_path / "server")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """On the control node."""
    return tmp_path / "here"


def bring(shelf: Shelf, sent: Sent, here: Path, free: int = 1 << 40, reserve: int = 0) -> int:
    """Fetch it."""
    return fetch(shelf, here, sent.digest, reserve, nothing, lambda folder: free)


class TestFetch:
    def test_all_of_it_is_brought_and_is_whole(self, sent: Sent, here: Path) -> None:
        shelf = Shelf(sent.folder)
        assert bring(shelf, sent, here) == sum(shelf.sizes().values())
        assert {path.name: path.read_bytes() for path in here.iterdir()} == {
            path.name: path.read_bytes() for path in sent.folder.iterdir()
        }
        assert verify(here, sent.digest, nothing) == Whole(6, sum(shelf.sizes().values()), 4)

    def test_one_that_was_cut_off_goes_on_where_it_was(self, sent: Sent, here: Path) -> None:
        shelf = Shelf(sent.folder, cut=5)
        with pytest.raises(LabError, match="broke off"):
            bring(shelf, sent, here)
        before = {path for path in here.iterdir() if path.suffix != ".idx"}
        shelf.cut, shelf.asked = -1, []
        bring(shelf, sent, here)
        assert not {path.name for path in before} & set(shelf.asked)
        assert [name for name in shelf.asked if name.endswith(".pack")] != []
        verify(here, sent.digest, nothing)

    def test_what_went_bad_here_is_brought_again(self, sent: Sent, here: Path) -> None:
        bring(Shelf(sent.folder), sent, here)
        Sent(here, sent.digest).damage(".pack")
        shelf = Shelf(sent.folder)
        bring(shelf, sent, here)
        assert len([name for name in shelf.asked if name.endswith(".pack")]) == 1
        verify(here, sent.digest, nothing)

    @pytest.mark.parametrize("ending", [".pack", ".cells", ".json"])
    def test_a_part_that_is_damaged_on_the_way_is_refused(self, sent: Sent, here: Path, ending: str) -> None:
        def spoil(name: str, data: bytes) -> bytes:
            return data[:-1] + bytes([data[-1] ^ 1]) if name.endswith(ending) else data

        with pytest.raises(LabError, match=f"{ending} is not what the PC sent, or came damaged"):
            bring(Shelf(sent.folder, spoil=spoil), sent, here)
        assert not list(here.glob(f"*{ending}"))

    @pytest.mark.parametrize(("by", "more"), [(1, b"x"), (2, b"")])
    def test_one_of_another_length_is_refused(self, sent: Sent, here: Path, by: int, more: bytes) -> None:
        with pytest.raises(LabError, match="came damaged"):
            bring(Shelf(sent.folder, spoil=lambda name, data: data[: -by + 1 or None] + more), sent, here)

    @pytest.mark.parametrize(
        ("ending", "said"),
        [(".pack", "is missing on the image server"), (".cells", "is missing on"), (".json", "is missing on")],
    )
    def test_a_missing_part_is_refused(self, sent: Sent, here: Path, ending: str, said: str) -> None:
        sent.file(ending).unlink()
        with pytest.raises(LabError, match=said):
            bring(Shelf(sent.folder), sent, here)

    def test_a_missing_index_is_a_missing_cell(self, sent: Sent, here: Path) -> None:
        sent.file(".idx").unlink()
        with pytest.raises(LabError, match="is in no pack"):
            bring(Shelf(sent.folder), sent, here)

    def test_another_order_s_parts_are_refused(self, sent: Sent, here: Path, tmp_path: Path) -> None:
        other = send(tmp_path / "other", seed=2)
        with pytest.raises(LabError, match=r"table\.json is not what the PC sent"):
            bring(Shelf(other.folder), sent, here)

    def test_nothing_is_brought_for_which_there_is_no_room(self, sent: Sent, here: Path) -> None:
        with pytest.raises(RefusedError, match="there is room for 0 MiB"):
            bring(Shelf(sent.folder), sent, here, free=MIB, reserve=MIB - 2000)
        assert not list(here.glob("*.pack"))

    def test_packs_of_an_attempt_before_stay_where_they_are(self, sent: Sent, here: Path) -> None:
        left = add_pack(sent.folder, [b"of before" * 9])
        shelf = Shelf(sent.folder)
        bring(shelf, sent, here)
        assert f"{left}.pack" not in shelf.asked
        assert not list(here.glob(f"{left}*"))
        verify(here, sent.digest, nothing)

    def test_a_name_that_leads_elsewhere_is_no_part(self, sent: Sent, here: Path) -> None:
        class Elsewhere(Shelf):
            def sizes(self) -> Mapping[str, int]:
                """One more."""
                return {**super().sizes(), "../../keys/ssh.idx": 10}

        shelf = Elsewhere(sent.folder)
        bring(shelf, sent, here)
        assert "../../keys/ssh.idx" not in shelf.asked


class TestVerify:
    @pytest.mark.parametrize("ending", [".pack", ".cells", ".json"])
    def test_a_damaged_part_is_found(self, sent: Sent, ending: str) -> None:
        sent.damage(ending)
        with pytest.raises(LabError, match=f"{ending} is not what the PC sent"):
            verify(sent.folder, sent.digest, nothing)

    @pytest.mark.parametrize(
        ("ending", "said"),
        [(".pack", "is missing"), (".cells", "is missing"), (".json", "is missing"), (".idx", "is in no pack")],
    )
    def test_a_missing_part_is_found(self, sent: Sent, ending: str, said: str) -> None:
        sent.file(ending).unlink()
        with pytest.raises(LabError, match=said):
            verify(sent.folder, sent.digest, nothing)

    def test_a_damaged_index_leads_to_no_cell(self, sent: Sent) -> None:
        """Its cells are all named, and the pack is what its name says."""

        def swap(data: bytes) -> bytes:
            first, second = parse_index(data).items()
            return dump_index({first[0]: second[1], second[0]: first[1]})

        change(sent.file(".idx"), swap)
        with pytest.raises(LabError, match="a damaged cell"):
            verify(sent.folder, sent.digest, nothing)

    def test_another_capture_is_not_this_one(self, sent: Sent, tmp_path: Path) -> None:
        with pytest.raises(LabError, match="not what the PC sent"):
            verify(send(tmp_path / "other", seed=2).folder, sent.digest, nothing)

    def test_without_a_digest_nothing_is_whole(self, sent: Sent) -> None:
        with pytest.raises(LabError, match="not what the PC sent"):
            verify(sent.folder, "", nothing)
