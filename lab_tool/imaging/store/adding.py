"""Adding a version: what is new of it in one pack, all of it read back, and seen by nobody before it is whole.

Whatever happens on the way (kill -9, a full disk, a refused signature, a log that can't be written), there is no new
version afterwards. A pack that got to its place before stays and is used by the next attempt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import local

import zstandard

from lab_tool.canonical import dump
from lab_tool.errors import LabError
from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.packs import LEVEL, PackWriter, compress, dump_index
from lab_tool.imaging.store.draft import Draft, DraftPartition, Progress, untold
from lab_tool.imaging.store.durable import UNFINISHED, held, settle, told, unfinished, write_new
from lab_tool.imaging.store.reading import Wanted, read_cell, used_of, wanted_cells
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.imaging.store.threads import THREADS, in_order
from lab_tool.imaging.store.whole import pack_faults
from lab_tool.log.store import sync_folder

_NOT_YET = "0" * 64
# Written down before the version is there: what raises here stops it.
Record = Callable[["Added"], None]


@dataclass(frozen=True, slots=True)
class Added:
    """The new version; how many cells it has, how many of them were new, and the bytes of the pack that holds them."""

    image: StoredImage
    cells: int
    new_cells: int
    new_bytes: int


def add(
    store: Store,
    draft: Draft,
    sign: Callable[[bytes], str],
    made: str,
    by: str,
    record: Record | None = None,
    progress: Progress = untold,
) -> Added:
    """Make the draft the next version of its name. `sign` signs the manifest's bytes, `record` writes down what is
    about to be there. Raises `LabError`: then nothing was added.
    """
    with told(store.root), held(store.root):
        store.forget()
        sketch = _sketch(draft, _next_version(store, draft.name), made, by)
        contents = dump(dict(draft.contents))
        used = {part.name: used_of(part) for part in draft.partitions if part.fs != "swap"}
        with unfinished(store.root / "packs", "pack") as (beside, file):
            writer = PackWriter(file)
            lists = {
                part.name: _read_partition(store, part, used[part.name], writer, progress)
                for part in draft.partitions
                if part.name in used
            }
            if writer.size:
                # An index without its pack is nothing; a pack is there with its index.
                write_new(store.pack_path(writer.id).with_suffix(".idx"), dump_index(writer.places))
                settle(file)
                beside.replace(store.pack_path(writer.id))
                sync_folder(store.root / "packs")
        known = store.known_cells()
        packs = {
            known[digest][0] for cells in lists.values() for _, digest in cells.cells if digest not in writer.places
        }
        packs |= {writer.id} if writer.size else set()
        manifest = replace(
            sketch,
            partitions=tuple(_described(part, lists.get(part.name)) for part in draft.partitions),
            packs=tuple(sorted(packs)),
            contents=hashlib.sha256(contents).hexdigest(),
            esp=_file_digest(draft.esp) if draft.esp else "",
        )
        _write_lists(store, manifest, lists, contents, draft.esp)
        store.forget()
        _require_whole(store, manifest, writer)
        added = Added(
            _signed(manifest, sign), sum(len(cells.cells) for cells in lists.values()), len(writer.places), writer.size
        )
        with _folder(store, added.image) as settled:
            if record:
                record(added)
            settled()
    return added


def _next_version(store: Store, name: str) -> int:
    images, damaged = store.survey()
    if damaged:
        raise LabError(
            f"{', '.join(image[:12] for image in damaged)} can't be read, so nobody knows which version comes next",
            where=str(store.root),
            next_command="lab image verify",
        )
    return 1 + max((one.manifest.version for one in images if one.manifest.name == name), default=0)


def _sketch(draft: Draft, version: int, made: str, by: str) -> Manifest:
    """The manifest but for what is not known yet; refused now, and not after an hour, if it could not be one."""
    sketch = Manifest(
        name=draft.name,
        version=version,
        made=made,
        by=by,
        family=draft.family,
        title=draft.title,
        kind=draft.kind,
        source=dict(draft.source),
        parent=draft.parent,
        changes=draft.changes,
        partitions=tuple(
            Partition(p.name, p.fs, p.size, p.grows, "" if p.fs == "swap" else _NOT_YET, 0, p.uuid, p.guid)
            for p in draft.partitions
        ),
        packs=(),
        contents=_NOT_YET,
        release=dict(draft.release),
    )
    try:
        Manifest.parse(sketch.dump(), sketch.id)
    except FormatError as error:
        raise LabError(f"this can't become an image: {error}", where=draft.name) from error
    without = [part.name for part in draft.partitions if (part.fs == "swap") is bool(part.device)]
    if without:
        raise LabError(f"swap is made anew and comes from nowhere, all else from somewhere: {', '.join(without)}")
    return sketch


def _read_partition(
    store: Store, part: DraftPartition, used: tuple[tuple[int, int], ...], writer: PackWriter, progress: Progress
) -> CellList:
    """Hash every cell in use, and pack those that the store lacks."""
    known, mine = store.known_cells(), local()

    def take(cell: Wanted) -> tuple[int, bytes, bytes | None]:
        content = read_cell(file, cell)
        digest = hashlib.sha256(content).digest()
        if digest in writer.places:
            return cell.number, digest, None
        if digest in known:
            # Read, so that no new version stands on what is damaged.
            store.read_cell(digest)
            return cell.number, digest, None
        if not hasattr(mine, "compressor"):
            mine.compressor = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
        return cell.number, digest, mine.compressor.compress(content)

    wanted = list(wanted_cells(used))
    cells: list[tuple[int, bytes]] = []
    file = os.open(part.device or "", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for number, digest, frame in in_order(pool, take, wanted):
                cells.append((number, digest))
                if frame is not None:
                    writer.add_frame(digest, frame)
                progress(part.name, len(cells) * CELL_SIZE, len(wanted) * CELL_SIZE)
    finally:
        os.close(file)
    return CellList(part.size, cells)


def _described(part: DraftPartition, cells: CellList | None) -> Partition:
    digest, used = (cells.digest, cells.used) if cells else ("", 0)
    return Partition(part.name, part.fs, part.size, part.grows, digest, used, part.uuid, part.guid)


def _write_lists(
    store: Store, manifest: Manifest, lists: dict[str, CellList], contents: bytes, esp: Path | None
) -> None:
    for part in manifest.partitions:
        if part.cells:
            write_new(store.cells_path(part), lists[part.name].dump())
    write_new(store.contents_path(manifest), compress(contents))
    target = store.esp_path(manifest)
    if esp and target:
        with unfinished(target.parent, target.name) as (beside, file), esp.open("rb") as source:
            shutil.copyfileobj(source, file)
            settle(file)
            beside.replace(target)
        sync_folder(target.parent)


def _require_whole(store: Store, manifest: Manifest, writer: PackWriter) -> None:
    """Read back what was written, from the disk and not from memory."""
    if writer.size:
        faults = pack_faults(store, writer.id)
        if faults:
            raise LabError(f"what was written is not what was read back: {faults[0]}", where=str(store.root))
    known = store.known_cells()
    for part in manifest.partitions:
        if part.cells and any(digest not in known for _, digest in store.cells(part).cells):
            raise LabError(f"cells of {part.name} are not there after they were written", where=str(store.root))
    store.contents(manifest)
    target = store.esp_path(manifest)
    if target and _file_digest(target) != manifest.esp:
        raise LabError("the files for the EFI partition are not what was written", where=str(target))


def _signed(manifest: Manifest, sign: Callable[[bytes], str]) -> StoredImage:
    data = manifest.dump()
    image = hashlib.sha256(data).hexdigest()
    return StoredImage(image, Manifest.parse(data, image), data, sign(data))


@contextmanager
def _folder(store: Store, image: StoredImage) -> Iterator[Callable[[], None]]:
    """The version's folder, complete but under a name that nobody reads; what it gives puts it to its place."""
    images = store.root / "images"
    beside = images / f"{UNFINISHED}{image.id}"
    beside.mkdir(mode=0o700)
    try:
        write_new(beside / "manifest.json", image.data)
        write_new(beside / "manifest.sig", image.signature.encode("ascii"))

        def settled() -> None:
            beside.rename(images / image.id)
            sync_folder(images)

        yield settled
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
