"""Whether the store still holds what was put into it: everything hashed anew, and whatever is not what it was named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab_tool.errors import LabError
from lab_tool.imaging.format.cells import CELL_SIZE
from lab_tool.imaging.format.fields import DIGEST, FormatError
from lab_tool.imaging.format.packs import Place, expand
from lab_tool.imaging.store.draft import Progress, untold
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.imaging.store.threads import THREADS, in_order


@dataclass(frozen=True, slots=True)
class Damage:
    """One file that is not what it was, what is wrong with it, and the versions that need it."""

    path: str
    what: str
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was read, and the damage found."""

    images: int
    packs: int
    bytes: int
    damage: tuple[Damage, ...]


def verify(store: Store, progress: Progress = untold) -> Checked:
    """Hash every manifest, list and pack, and expand every cell."""
    images, damaged = store.survey()
    found = [Damage(f"images/{image}", what, (image,)) for image, what in damaged.items()]
    packs = sorted(path.stem for path in (store.root / "packs").glob("*.pack") if DIGEST.fullmatch(path.stem))
    total = sum(store.pack_path(pack).stat().st_size for pack in packs)
    users = {pack: tuple(one.id for one in images if pack in one.manifest.packs) for pack in packs}
    done = 0
    for pack in packs:
        found += [Damage(f"packs/{pack}.pack", what, users[pack]) for what in pack_faults(store, pack)]
        done += store.pack_path(pack).stat().st_size
        progress(f"pack {pack[:12]}", done, total)
    held = _held(store, packs)
    for one in images:
        found += [Damage(path, what, (one.id,)) for path, what in _image_faults(store, one, held)]
    return Checked(len(images) + len(damaged), len(packs), total, tuple(found))


def pack_faults(store: Store, pack: str) -> list[str]:
    """What is wrong with a pack and its index; empty when each cell is what its digest says."""
    path = store.pack_path(pack)
    try:
        places = store.index(pack)
        with path.open("rb") as file, ThreadPoolExecutor(THREADS) as pool:
            # So that the disk is asked and not the memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            whole = hashlib.file_digest(file, "sha256").hexdigest() == pack

            def check(cell: tuple[bytes, Place]) -> str:
                digest, place = cell
                try:
                    expand(os.pread(file.fileno(), place.length, place.offset), digest, CELL_SIZE)
                except FormatError as error:
                    return f"{error} (cell {digest.hex()[:16]} at {place.offset})"
                return ""

            faults = [fault for fault in in_order(pool, check, places.items()) if fault]
    except LabError as error:
        return [error.what]
    except OSError as error:
        return [str(error.strerror or error)]
    if not whole and not faults:
        faults.append("its bytes are not those that name it")
    return faults


def _held(store: Store, packs: list[str]) -> set[bytes]:
    """The cells that the indices lead to."""
    held: set[bytes] = set()
    for pack in packs:
        try:
            held.update(store.index(pack))
        except LabError:
            # Told as damage of the pack already; which cells are lost with it is told of those that need them.
            continue
    return held


def _image_faults(store: Store, one: StoredImage, held: set[bytes]) -> Iterator[tuple[str, str]]:
    for part in one.manifest.partitions:
        if not part.cells:
            continue
        try:
            lacking = [digest for _, digest in store.cells(part).cells if digest not in held]
        except LabError as error:
            yield f"cells/{part.cells}", error.what
            continue
        if lacking:
            yield f"cells/{part.cells}", f"{len(lacking)} of its cells are in no pack"
    for pack in one.manifest.packs:
        if not store.pack_path(pack).is_file():
            yield f"packs/{pack}.pack", "it is gone"
    try:
        store.contents(one.manifest)
    except LabError as error:
        yield f"contents/{one.manifest.contents}.zst", error.what
    path = store.esp_path(one.manifest)
    if path:
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != one.manifest.esp:
                    yield f"esp/{path.name}", "it is not the one that was signed"
        except OSError as error:
            yield f"esp/{path.name}", str(error.strerror or error)
