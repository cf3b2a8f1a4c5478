"""Lists of cells, and packs: what is written is read again, and nothing else is read."""

from __future__ import annotations

import hashlib
import io
import resource
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.imaging.format.cells import ALIGNMENT, CELL_SIZE, CellList, cell_numbers
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import PackWriter, compress, dump_index, expand, parse_index

CELLS_A_UNIT = ALIGNMENT // CELL_SIZE
digests = st.binary(min_size=32, max_size=32)


@st.composite
def lists(draw: Any) -> CellList:
    """Any list of cells."""
    units = draw(st.integers(0, 1 << 30))
    numbers = draw(st.sets(st.integers(0, units * CELLS_A_UNIT - 1), max_size=20)) if units else set()
    return CellList(units * ALIGNMENT, [(number, draw(digests)) for number in sorted(numbers)])


@given(lists())
def test_a_list_is_read_as_it_was_written(cells: CellList) -> None:
    assert CellList.parse(cells.dump()) == cells
    assert hashlib.sha256(cells.dump()).hexdigest() == cells.digest
    assert cells.used == len(cells.cells) * CELL_SIZE


@given(lists(), st.data())
def test_a_list_that_was_cut_off_is_refused_or_a_shorter_one(cells: CellList, data: st.DataObject) -> None:
    whole = cells.dump()
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        read = CellList.parse(part)
    except FormatError:
        return
    assert list(read.cells) == list(cells.cells)[: len(read.cells)]
    assert read.digest != cells.digest


@given(st.binary(max_size=200) | st.binary(max_size=90).map(lambda rest: b"LABCELLS1 262144 1048576\n" + rest))
def test_of_any_bytes_only_a_list_is_read(data: bytes) -> None:
    try:
        read = CellList.parse(data)
    except FormatError:
        return
    assert read.dump() == data
    assert all(0 <= number * CELL_SIZE < read.size for number, _ in read.cells)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"LABCELLS1 262144 1048576",
        b"LABCELLS2 262144 1048576\n",
        b"LABCELLS1 262144 1048577\n",
        b"LABCELLS1 262144 -1048576\n",
        b"LABCELLS1 0262144 1048576\n",
        b"LABCELLS1 0 1048576\n",
        b"LABCELLS1 300000 1048576\n",
        b"LABCELLS1 2097152 2097152\n",
        b"LABCELLS1 262144 1048576 0\n",
        b"LABCELLS1  1048576\n",
        "LABCELLS1 262144 ²\n".encode(),
        b"LABCELLS1 " + b"1" * 5000 + b" 0\n",
        b"LABCELLS1 262144 1048576\n" + b"x" * 39,
        b"LABCELLS1 262144 1048576\n" + (4).to_bytes(8, "big") + bytes(32),
        b"LABCELLS1 262144 1048576\n" + ((1).to_bytes(8, "big") + bytes(32)) * 2,
        b"LABCELLS1 262144 1048576\n" + (2).to_bytes(8, "big") + bytes(32) + (1).to_bytes(8, "big") + bytes(32),
    ],
)
def test_what_is_no_list(data: bytes) -> None:
    with pytest.raises(FormatError):
        CellList.parse(data)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 10**6)), max_size=15))
def test_the_numbers_of_cells(pairs: list[tuple[int, int]]) -> None:
    ranges = sorted((start, start + length) for start, length in pairs)
    found = list(cell_numbers(ranges))
    wanted = {number for start, end in ranges for number in range(start // CELL_SIZE, -(-end // CELL_SIZE))}
    assert found == sorted(wanted)


contents = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


@given(contents)
def test_a_pack_gives_back_what_was_added(parts: list[bytes]) -> None:
    out = io.BytesIO()
    writer = PackWriter(out)
    for part in parts:
        writer.add(hashlib.sha256(part).digest(), part)
    data = out.getvalue()
    assert (writer.id, writer.size) == (hashlib.sha256(data).hexdigest(), len(data))
    places = parse_index(dump_index(writer.places))
    assert places == dict(writer.places)
    assert len(places) == len(set(parts))
    for part in parts:
        digest = hashlib.sha256(part).digest()
        place = places[digest]
        assert expand(data[place.offset : place.offset + place.length], digest, len(part)) == part


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_frame_that_was_altered_is_caught(content: bytes, data: st.DataObject) -> None:
    frame, digest = compress(content), hashlib.sha256(content).digest()
    at, bit = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(0, 7))
    forged = frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]
    # A bit that means nothing may flip: the content is still the one that was signed.
    with suppress(FormatError):
        assert expand(forged, digest, len(content)) == content
    for cut in (0, at):
        with pytest.raises(FormatError):
            expand(frame[:cut], digest, len(content))


@given(st.binary(max_size=100))
def test_of_any_bytes_no_cell_is_read(data: bytes) -> None:
    with pytest.raises(FormatError):
        expand(data, hashlib.sha256(b"x").digest(), 1)


@pytest.mark.parametrize("content", [b"y", b"", b"xx"])
def test_another_cell_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        expand(compress(content), hashlib.sha256(b"x").digest(), 1)


def test_a_frame_of_unknown_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"x")
    with pytest.raises(FormatError):
        expand(frame, hashlib.sha256(b"x").digest(), 1)


def test_a_frame_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    """Packs come over plain HTTP: 16 KB from anybody would take half a gigabyte of a PC's memory."""
    bomb = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(1 << 29))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb_digest = hashlib.sha256(b"x").digest()
    with pytest.raises(FormatError):
        expand(bomb, bomb_digest, CELL_SIZE)
    # What making the bomb took counts already; reading it takes nothing more.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("data", [b"", b"LABPACK1", b"LABPACK2\n", b"LABPACK1\nx", b"x" * 44])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_index(data)


@given(st.binary(max_size=150) | st.binary(max_size=150).map(lambda rest: b"LABPACK1\n" + rest))
def test_of_any_bytes_only_an_index_is_read(data: bytes) -> None:
    try:
        places = parse_index(data)
    except FormatError:
        return
    assert data == dump_index(places) or len(places) * 44 < len(data) - 9
