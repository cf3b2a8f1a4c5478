"""Bring partitions to what their lists of cells say: compare, take what differs from wherever it comes, write.

Starting again after a cut, imaging a PC anew, catching up after a stream and healing are all this: only cells that are
not right yet are asked for.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from lab_tool.imaging.deploy.blocks import LONGEST, Disk
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import expand

THREADS = max(2, min(8, os.cpu_count() or 2))
# Frames on their way from the network to the disk: memory, and how far the two may be apart.
_WAITING = 64
# So many cells all over a partition are looked at first; when none is right, comparing the others would only cost time.
_SAMPLES = 64
_ZEROS = hashlib.sha256(bytes(CELL_SIZE)).digest()
UNKNOWN, RIGHT, WRITTEN, HELD = range(4)


@dataclass(slots=True)
class Area:
    """One partition to fill: where it starts on the disk, what belongs there, and the cells (by number) written
    last of all, so that no machine takes a half-written system for a whole one.
    """

    name: str
    start: int
    cells: CellList
    last: frozenset[int] = frozenset()
    state: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.state = bytearray(len(self.cells.cells))

    def offset(self, index: int) -> int:
        """Where on the disk the cell with that index in the list lies."""
        return self.start + self.cells.cells[index][0] * self.cells.cell_size


class Writer:
    """Fills areas of a disk. `moved` hears of bytes compared or written, `received` of bytes that came.

    Use: `compare`, then sources `offer` until `missing` is empty, `finish`, `release`, and `readback.read_back`.
    """

    def __init__(
        self,
        disk: Disk,
        areas: Sequence[Area],
        *,
        moved: Callable[[int], None] | None = None,
        received: Callable[[int], None] | None = None,
    ) -> None:
        self._disk = disk
        self.areas = areas
        self._moved = moved or (lambda size: None)
        self._received = received or (lambda size: None)
        self._missing: dict[bytes, list[tuple[Area, int]]] = {}
        self._held: list[tuple[Area, int, bytes]] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="cells")
        self._room = threading.BoundedSemaphore(_WAITING)
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self.compared = 0
        self.fetched = 0
        self.written = 0
        self.damaged: dict[bytes, int] = {}

    @property
    def missing(self) -> list[bytes]:
        """The digests of cells that are not right yet, in the order in which they lie on the disk."""
        with self._lock:
            return list(self._missing)

    @property
    def missing_bytes(self) -> int:
        """Bytes still to be written."""
        with self._lock:
            return sum(area.cells.cell_size for places in self._missing.values() for area, _ in places)

    def compare(self) -> None:
        """Find out which cells are right already. Raises `DiskError`."""
        for area in self.areas:
            number = len(area.cells.cells)
            # A disk that was never used is full of zeros, which say nothing.
            telling = [index for index, (_, digest) in enumerate(area.cells.cells) if digest != _ZEROS]
            samples = telling[:: max(1, len(telling) // _SAMPLES)]
            if any(self._pool.map(lambda index, area=area: self._is_right(area, index), samples)):
                for _ in self._pool.map(lambda run, area=area: self._compare_run(area, run), runs(area, range(number))):
                    pass
            for index, (_, digest) in enumerate(area.cells.cells):
                if area.state[index] != RIGHT:
                    self._missing.setdefault(digest, []).append((area, index))

    def offer(self, digest: bytes, frame: bytes) -> None:
        """A cell's frame, from any thread; waits when the disk is behind, passes over what is not needed (any more).

        A damaged frame leaves its cell missing and is counted in `damaged`. Raises what writing an earlier one raised.
        """
        self._raise_failure()
        with self._lock:
            if digest not in self._missing:
                return
            self.fetched += len(frame)
        self._received(len(frame))
        self._room.acquire()
        self._pool.submit(self._place, digest, frame).add_done_callback(self._done)

    def finish(self) -> None:
        """Wait until everything offered is on the disk. Raises what writing raised."""
        for _ in range(_WAITING):
            self._room.acquire()
        for _ in range(_WAITING):
            self._room.release()
        self._raise_failure()
        self._disk.flush()

    def release(self) -> None:
        """Write the cells that come last. Raises `DeployError` while others are missing."""
        if self._missing:
            raise DeployError(f"{len(self._missing)} cells are missing", where=str(self._disk.path))
        for area, index, content in self._held:
            self._disk.write(area.offset(index), content)
            area.state[index] = WRITTEN
        self._held.clear()
        self._disk.flush()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _is_right(self, area: Area, index: int) -> bool:
        digest = hashlib.sha256(self._disk.read(area.offset(index), area.cells.cell_size)).digest()
        return digest == area.cells.cells[index][1]

    def _compare_run(self, area: Area, run: range) -> None:
        size = area.cells.cell_size
        content = self._disk.read(area.offset(run.start), len(run) * size)
        for at, index in enumerate(run):
            if hashlib.sha256(content[at * size : (at + 1) * size]).digest() == area.cells.cells[index][1]:
                area.state[index] = RIGHT
        with self._lock:
            self.compared += len(content)
        self._moved(len(content))

    def _place(self, digest: bytes, frame: bytes) -> None:
        with self._lock:
            places = list(self._missing.get(digest, ()))
        if not places:
            return
        size = places[0][0].cells.cell_size
        try:
            content = expand(frame, digest, size)
        except FormatError:
            with self._lock:
                self.damaged[digest] = self.damaged.get(digest, 0) + 1
            return
        for area, index in places:
            if area.cells.cells[index][0] in area.last:
                with self._lock:
                    self._held.append((area, index, content))
                area.state[index] = HELD
            else:
                self._disk.write(area.offset(index), content)
                area.state[index] = WRITTEN
            self._moved(size)
        with self._lock:
            self.written += size * len(places)
            self._missing.pop(digest, None)

    def _done(self, future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self._failure = self._failure or error
        self._room.release()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def runs(area: Area, indexes: Sequence[int]) -> Iterator[range]:
    """Those indexes of cells that lie side by side on the disk, as many at a time as one read takes."""
    cells, most = area.cells.cells, LONGEST // area.cells.cell_size
    start = 0
    for at in range(1, len(indexes) + 1):
        if (
            at == len(indexes)
            or at - start == most
            or indexes[at] != indexes[at - 1] + 1
            or cells[indexes[at]][0] != cells[indexes[at - 1]][0] + 1
        ):
            yield range(indexes[start], indexes[at - 1] + 1)
            start = at
