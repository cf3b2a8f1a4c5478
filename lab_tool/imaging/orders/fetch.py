"""Brings what a captured PC sent from the image server to the control node, part by part, each held to its digest.

A part stands under its name only once it was found right, so that what was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from lab_tool.errors import LabError, RefusedError
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.orders.parts import INDEX, NAME, PACK, TABLE, Progress, cells_of, is_whole, lists_of, packs_for
from lab_tool.imaging.store.durable import settle, unfinished
from lab_tool.log.store import sync_folder

MIB = 1024 * 1024
# Parts asked for at once: their names fit into one command line.
AT_ONCE = 500


class Source(Protocol):
    """Where the parts of one order are."""

    def sizes(self) -> Mapping[str, int]:
        """The files that are there, and their sizes in bytes."""

    def read(self, names: Sequence[str]) -> AbstractContextManager[Iterator[tuple[str, IO[bytes]]]]:
        """These files, one after the other."""


def room(folder: Path) -> int:
    """Free bytes where the folder lies."""
    return shutil.disk_usage(folder).free


def fetch(
    source: Source,
    folder: Path,
    digest: str,
    reserve: int,
    progress: Progress,
    free: Callable[[Path], int] = room,
) -> int:
    """Bring to `folder` what is lacking of the capture whose table has that digest; how many bytes came.

    Raises `LabError`: a part is missing or not what the PC sent, or the disk would have less than `reserve` bytes left.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sizes = {name: size for name, size in source.sizes().items() if NAME.fullmatch(name)}
    there = _Shelf(source, folder, sizes, reserve, progress, free)
    try:
        there.bring({TABLE: digest})
        lists = lists_of(folder)
        there.bring(lists)
        # Nothing says what an index must be; what it leads to is held to the cells' digests.
        there.bring({name: "" for name in sizes if name.endswith(INDEX)})
        packs = packs_for(folder, cells_of(folder, lists))
        there.bring({f"{pack}{PACK}": pack for pack in packs})
    except FormatError as error:
        raise LabError(f"what the PC sent is not whole: {error}", where=str(folder)) from error
    for path in [*folder.glob(f"*{INDEX}"), *folder.glob(f"*{PACK}")]:
        if path.stem not in packs:
            path.unlink()
    sync_folder(folder)
    return there.came


class _Shelf:
    """The folder, and where it is filled from."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        sizes: Mapping[str, int],
        reserve: int,
        progress: Progress,
        free: Callable[[Path], int],
    ) -> None:
        self._source = source
        self._folder = folder
        self._sizes = sizes
        self._reserve = reserve
        self._progress = progress
        self._free = free
        self.came = 0

    def bring(self, wanted: Mapping[str, str]) -> None:
        """These parts, by name and SHA-256 (empty: not known), where they are not here yet."""
        lacking = [name for name, digest in wanted.items() if not digest or not is_whole(self._folder / name, digest)]
        for name in lacking:
            if name not in self._sizes:
                raise LabError(f"{name} is missing on the image server: the PC did not send all")
        size = sum(self._sizes[name] for name in lacking)
        left = self._free(self._folder) - self._reserve
        if size > left:
            raise RefusedError(
                f"{size // MIB} MiB are to be brought here, and there is room for {max(left, 0) // MIB} MiB",
                where=str(self._folder),
                next_command=f"df -h {self._folder}",
            )
        done = 0
        for at in range(0, len(lacking), AT_ONCE):
            names = lacking[at : at + AT_ONCE]
            with self._source.read(names) as files:
                came = set()
                for name, content in files:
                    if name not in names:
                        raise LabError(f"the image server sent {name[:80]!r}, which nobody asked for")
                    done = self._take(name, wanted[name], content, done, size)
                    came.add(name)
            if len(came) != len(names):
                raise LabError("the image server did not send all that was asked for")

    def _take(self, name: str, digest: str, content: IO[bytes], done: int, total: int) -> int:
        size, hashed, left = self._sizes[name], hashlib.sha256(), self._sizes[name]
        with unfinished(self._folder, name) as (beside, file):
            while piece := content.read(MIB):
                left -= len(piece)
                if left < 0:
                    break
                hashed.update(piece)
                file.write(piece)
                self._progress(done + size - left, total)
            if left or (digest and hashed.hexdigest() != digest):
                raise LabError(f"{name} is not what the PC sent, or came damaged", where=str(self._folder))
            settle(file)
            beside.replace(self._folder / name)
        self.came += size
        return done + size
