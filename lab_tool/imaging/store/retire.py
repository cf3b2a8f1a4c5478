"""Removing versions that nothing names any more, and what only they needed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_tool.canonical import Json
from lab_tool.core.orders import Desk
from lab_tool.core.serial import one_at_a_time
from lab_tool.errors import LabError
from lab_tool.imaging.store.durable import UNFINISHED, held, told
from lab_tool.imaging.store.proof import ADDED
from lab_tool.imaging.store.record import MAKERS, record_act, require_may, sign_act
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.log.store import ENTRIES, settled_size, sync_folder
from lab_tool.settings import Settings

REMOVED = "image.removed"
NAMESPACE = "lab-image-remove"
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_REF = re.compile(rb"(?<![a-z0-9-])[a-z0-9][a-z0-9-]{0,62}/[0-9]{1,9}(?![0-9])")
# What tells of every version, and asks for none to be kept.
_ITS_OWN = tuple(f'"kind":"{kind}"'.encode() for kind in (ADDED, REMOVED))


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes: versions, and files below the store that no version needs then; why each other version stays.

    `entry` is the entry of it, None where nothing was removed.
    """

    images: tuple[StoredImage, ...]
    files: tuple[str, ...]
    bytes: int
    kept: Mapping[str, str]
    entry: int | None = None


def plan_removal(settings: Settings) -> Removal:
    """What nothing names: no file of the inventory, no entry of the log but the one it was added by; nor is it the
    last of its name. Raises `LabError` where the store is damaged: what a version needs can't be told then.
    """
    store = Store(settings.images)
    images, damaged = store.survey()
    if damaged:
        raise LabError(
            f"{len(damaged)} images can't be read, so nobody knows what they need; nothing is removed",
            where=str(store.root),
            next_command="lab image verify",
        )
    in_inventory, in_log = set(_named_in_inventory(settings.inventory)), set(_named_in_log(settings.log))
    last = {one.manifest.name: one.id for one in images}
    kept: dict[str, str] = {}
    for one in images:
        names = {one.id.encode(), one.ref.encode()}
        if names & in_inventory:
            kept[one.id] = "inventory"
        elif names & in_log:
            kept[one.id] = "log"
        elif last[one.manifest.name] == one.id:
            kept[one.id] = "last"
    gone = tuple(one for one in images if one.id not in kept)
    files = list(_unneeded(store, [one for one in images if one.id in kept]))
    size = sum(path.stat().st_size for path in files)
    return Removal(gone, tuple(path.relative_to(store.root).as_posix() for path in files), size, kept)


def remove(desk: Desk) -> Removal:
    """Remove all that, once the log holds what, and by whom."""
    person = require_may(desk, MAKERS)
    wanted = plan_removal(desk.settings)
    if not wanted.images and not wanted.files:
        return wanted
    intent: dict[str, Json] = {
        "v": 1,
        "type": REMOVED,
        "origin": desk.school.log.origin,
        "person": person.id,
        "images": {one.id: one.ref for one in wanted.images},
        "files": list(wanted.files),
        "bytes": wanted.bytes,
    }
    armored = sign_act(desk, person, intent, NAMESPACE)
    store = Store(desk.settings.images)
    with told(store.root), held(store.root), one_at_a_time(desk.settings):
        if plan_removal(desk.settings) != wanted:
            raise LabError("something was added or promoted in this moment; do it again", next_command="lab image gc")
        entry = record_act(desk, person, REMOVED, intent, armored)
        # First what makes a version count, then what it needed.
        for one in wanted.images:
            away = store.root / "images" / f"{UNFINISHED}{one.id}"
            (store.root / "images" / one.id).rename(away)
            sync_folder(away.parent)
            shutil.rmtree(away)
        for name in wanted.files:
            (store.root / name).unlink(missing_ok=True)
        for folder in {(store.root / name).parent for name in wanted.files}:
            sync_folder(folder)
    return Removal(wanted.images, wanted.files, wanted.bytes, wanted.kept, entry.seq)


def _named_in_inventory(inventory: Path) -> Iterator[bytes]:
    for path in sorted(inventory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield from _names(path.read_bytes())


def _named_in_log(log: Path) -> Iterator[bytes]:
    """From the log itself, every line: an index could be made to hide some."""
    left = settled_size(log)
    if not left:
        return
    with (log / ENTRIES).open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0:
                return
            if not any(mark in line for mark in _ITS_OWN):
                yield from _names(line)


def _names(data: bytes) -> Iterator[bytes]:
    yield from _ID.findall(data)
    yield from _REF.findall(data)


def _unneeded(store: Store, kept: list[StoredImage]) -> Iterator[Path]:
    """Files of the store that none of these versions needs; a pack before its index, without which it is damage."""
    needed: set[Path | None] = set()
    for one in kept:
        needed |= {store.cells_path(part) for part in one.manifest.partitions if part.cells}
        needed |= {store.pack_path(pack).with_suffix(end) for pack in one.manifest.packs for end in (".pack", ".idx")}
        needed |= {store.contents_path(one.manifest), store.esp_path(one.manifest)}
    for folder in ("packs", "cells", "contents", "esp"):
        for path in sorted((store.root / folder).glob("*"), key=lambda path: (path.suffix == ".idx", path)):
            if path not in needed and not path.name.startswith("."):
                yield path
