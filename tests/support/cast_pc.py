"""A PC as far as streams go: hears one, writes what is whole and right to a file, fetches the rest by HTTP.

    python -m tests.support.cast_pc '<json>'    with join, cells, disk, interface, patience, url, pause

Prints a line of JSON when it has joined nothing more: `heard` by multicast, `fetched` by unicast, `reason`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import urllib.request
from pathlib import Path

from lab_tool.imaging.deploy.stream import receive
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import Place, expand, parse_index


class Disk:
    """Writes cells where the list has them; `pause` seconds for each, as a slow disk would."""

    def __init__(self, cells: CellList, path: Path, pause: float) -> None:
        self._size = cells.cell_size
        self._pause = pause
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.wants: dict[bytes, list[int]] = {}
        for number, digest in cells.cells:
            self.wants.setdefault(digest, []).append(number)
        os.ftruncate(self._file, cells.size)
        self._note = path.with_suffix(".heard")
        self._known()

    def offer(self, digest: bytes, frame: bytes) -> None:
        """Write the cell of that digest, unless it is here already or is none of this image."""
        numbers = self.wants.get(digest)
        if not numbers:
            return
        try:
            content = expand(frame, digest, self._size)
        except FormatError:
            return
        for number in numbers:
            os.pwrite(self._file, content, number * self._size)
        del self.wants[digest]
        with self._note.open("a") as note:
            note.write("+")
        time.sleep(self._pause)

    @property
    def missing_bytes(self) -> int:
        """What is not here yet."""
        return self._size * sum(map(len, tuple(self.wants.values())))

    def _known(self) -> None:
        """What was written before needs no second time: as the real writer, it is the disk that says."""
        for digest, numbers in tuple(self.wants.items()):
            if hashlib.sha256(os.pread(self._file, self._size, numbers[0] * self._size)).digest() == digest:
                del self.wants[digest]


def fetch(url: str, places: dict[bytes, Place], disk: Disk) -> int:
    """Everything that is lacking, by ranges of the pack; how many cells that were."""
    lacking = [(digest, at) for digest, at in places.items() if digest in disk.wants]
    for digest, at in lacking:
        ask = urllib.request.Request(url, headers={"Range": f"bytes={at.offset}-{at.offset + at.length - 1}"})
        with urllib.request.urlopen(ask, timeout=20) as answer:
            disk.offer(digest, answer.read())
    return len(lacking)


def main(told: dict[str, str]) -> int:
    """Hear, write, catch up."""
    root = Path(told["root"])
    cells = CellList.parse((root / "cells" / told["cells"]).read_bytes())
    disk = Disk(cells, Path(told["disk"]), float(told.get("pause", "0")))
    before = len(disk.wants)
    join = Join(told["stream"], told["group"], int(told["port"]), told["invited"])
    refused = ""
    Path(told["disk"]).with_suffix(".ready").touch()
    begin = time.monotonic()
    try:
        heard = receive(join, told["image"], disk, interface=told["interface"], patience=float(told["patience"]))
        reason, complete = heard.reason, heard.complete
    except FormatError as error:
        refused, reason, complete = str(error), "", False
    seconds = time.monotonic() - begin
    lacking = len(disk.wants)
    fetched = 0
    if told.get("url"):
        index = parse_index(next((root / "packs").glob("*.idx")).read_bytes())
        fetched = fetch(told["url"], index, disk)
    said = {"already": len(cells.cells) - before, "heard": before - lacking, "fetched": fetched, "seconds": seconds}
    print(json.dumps({**said, "reason": reason, "refused": refused, "complete": complete}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
