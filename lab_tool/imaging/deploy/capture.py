"""Sends the disk of this PC up as it is, and changes nothing on it: only cells in use, unused blocks in them as zeros.

What is sent: `<number>.cells` for each partition with a file system, packs as `<id>.pack` and `<id>.idx`, and at the
very end `table.json`: {"v": 1, "disk": bytes, "sector": bytes, "partitions": [{"number", "name", "type", "guid",
"start", "size", "fs", "uuid", "label", "cells"}]}; `cells` is the SHA-256 of the list, empty for what was not sent.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab_tool import process
from lab_tool.errors import LabError
from lab_tool.imaging.build.used import READERS, used_ranges
from lab_tool.imaging.deploy import volumes
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import CACHE, DATA, Found, read_table
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.talk import Progress, Talk
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.cells import ALIGNMENT, CELL_SIZE, CellList, cell_numbers
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.format.packs import PackWriter, dump_index

# Bytes of a pack: it is made in memory, and sent once more when the server died meanwhile.
_PACK = 64 * 1024 * 1024
_LEVEL = 3


class _Packs:
    """Collects cells and sends them up in packs."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._sent: set[bytes] = set()
        self._new()
        self.bytes = 0

    def add(self, digest: bytes, content: bytes) -> None:
        """Once each."""
        if digest not in self._sent:
            self._sent.add(digest)
            self._pack.add(digest, content)
            if self._pack.size >= _PACK:
                self.send()

    def send(self) -> None:
        """Send what was collected."""
        if self._pack.places:
            self._talk.put(f"{self._pack.id}.pack", self._out.getvalue())
            self._talk.put(f"{self._pack.id}.idx", dump_index(self._pack.places))
            self.bytes += self._pack.size
        self._new()

    def _new(self) -> None:
        self._out = io.BytesIO()
        self._pack = PackWriter(self._out, _LEVEL)


def capture(
    situation: Situation, order: Order, path: Path, talk: Talk, progress: Progress, show: Callable[[str], None]
) -> dict[str, Any]:
    """Send everything; what is reported of it. Raises `LabError`."""
    begun = situation.now()
    packs, told, compared = _Packs(talk), [], 0
    with Disk(path, write=False) as disk:
        found = read_table(disk)
        if not found:
            raise DeployError("this disk has no partition table", where=str(path), advice="Is it the right disk?")
        for number, part in enumerate(found, 1):
            entry, used = _examine(disk, number, part)
            told.append(entry)
            if not used or part.name in (CACHE, DATA):
                continue
            show(f"partition {number}: {entry['fs']}, {sum(end - start for start, end in used) // 1024**2} MiB in use")
            cells = _send_partition(disk, part, used, packs, progress)
            talk.put(f"{number}.cells", cells.dump())
            entry["cells"] = cells.digest
            compared += cells.used
        packs.send()
        table = {"v": 1, "disk": disk.size, "sector": disk.sector, "partitions": told}
        talk.put("table.json", json.dumps(table, sort_keys=True).encode("ascii"))
    return {
        "cells_sha256": hashlib.sha256(json.dumps(table, sort_keys=True).encode("ascii")).hexdigest(),
        "fetched_bytes": 0,
        "sent_bytes": packs.bytes,
        "written_bytes": 0,
        "compared_bytes": compared,
        "seconds": round(situation.now() - begun, 1),
        "host_keys": [],
        "layout": [{"name": entry["name"], "start": entry["start"], "size": entry["size"]} for entry in told],
    }


def _examine(disk: Disk, number: int, part: Found) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """What is told of a partition, and which bytes of it are in use."""
    entry: dict[str, Any] = {
        "number": number,
        "name": part.name,
        "type": part.type,
        "guid": part.guid,
        "start": part.start,
        "size": part.size,
        "fs": "",
        "uuid": "",
        "label": "",
        "cells": "",
    }
    with volumes.device_of(disk, part) as device:
        done = process.run(["blkid", "-p", "-o", "export", str(device)])
        said = dict(line.split("=", 1) for line in done.out.decode("utf-8", "replace").splitlines() if "=" in line)
        entry.update(fs=said.get("TYPE", ""), uuid=said.get("UUID", ""), label=said.get("LABEL", ""))
        if entry["fs"] not in READERS or part.name in (CACHE, DATA):
            return entry, []
        try:
            return entry, used_ranges(device, entry["fs"])
        except LabError as error:
            raise DeployError(
                f"partition {number} ({entry['fs']}) can't be captured: {error.what}",
                where=str(disk.path),
                advice="Shut its system down properly, Windows without fast startup",
            ) from error


def _send_partition(
    disk: Disk, part: Found, used: list[tuple[int, int]], packs: _Packs, progress: Progress
) -> CellList:
    progress.state("receiving", sum(end - start for start, end in used))
    cells = []
    for number, content in _contents(disk, part, used):
        digest = hashlib.sha256(content).digest()
        cells.append((number, digest))
        packs.add(digest, content)
        progress.moved(len(content))
        progress.check()
    return CellList(-(-part.size // ALIGNMENT) * ALIGNMENT, cells)


def _contents(disk: Disk, part: Found, used: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Number and content of each cell in use. The partition may end within its last cell; the rest counts as zeros."""
    ranges = iter(used)
    start, end = next(ranges)
    for number in cell_numbers(used):
        at = number * CELL_SIZE
        length = min(CELL_SIZE, part.size - at)
        raw = disk.read(part.start + at, length)
        content = bytearray(CELL_SIZE)
        while True:
            low, high = max(start, at), min(end, at + length)
            if low < high:
                content[low - at : high - at] = raw[low - at : high - at]
            if end > at + CELL_SIZE:
                break
            following = next(ranges, None)
            if following is None:
                break
            start, end = following
            if start >= at + CELL_SIZE:
                break
        yield number, bytes(content)
