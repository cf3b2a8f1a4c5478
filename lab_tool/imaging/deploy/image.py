"""Carries out an order: from a disk that may hold anything to one that holds what was ordered, proved and bootable.

The order of things is what makes a power cut harmless: unbootable first, then partitions, cells, read-back, what makes
the PC this PC, and only then what makes the disk start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_tool.imaging.deploy import boot, personal, personal_windows, readback, seal, windows_start
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.layout import Layout, Slot, plan_layout, read_table, write_table
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.talk import Progress
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.deploy.writer import Area, Writer
from lab_tool.imaging.format.cells import CellList
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import Order

# A damaged cell is asked for so many times before it is said to be damaged on the server.
_TRIES = 3
# Brings the cells of one image that the writer lacks, from a server or from this disk's own copy.
Fill = Callable[[str, Manifest, Writer], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known before the first byte is written."""

    order: Order
    manifests: Sequence[tuple[str, Manifest]]
    lists: Mapping[str, CellList]
    archives: Sequence[bytes]
    kept: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    healing: bool = False


def load_plan(order: Order, manifests: Sequence[tuple[str, Manifest]], get: Callable[[str, str], bytes]) -> Plan:
    """Get the lists of cells and the EFI files, `get(path, SHA-256)`. Raises `DeployError`."""
    lists = {}
    for image, manifest in manifests:
        if manifest.family == "windows":
            personal_windows.wanted(order)
        for part in manifest.partitions:
            if not part.cells:
                continue
            try:
                cells = CellList.parse(get(f"/cells/{part.cells}", part.cells))
            except FormatError as error:
                raise DeployError(f"{error}", where=part.cells, advice="Build the image again") from error
            if cells.size != part.size:
                raise DeployError(f"a list of cells of another partition than {part.name}", where=image[:12])
            lists[part.cells] = cells
    archives = [get(f"/esp/{manifest.esp}.tar", manifest.esp) for _, manifest in manifests if manifest.esp]
    return Plan(order, manifests, lists, archives)


def carry_out(
    situation: Situation,
    plan: Plan,
    path: Path,
    fill: Fill,
    progress: Progress,
    keep: Callable[[Disk, Layout, Writer], str] | None = None,
) -> dict[str, Any]:
    """Make the disk what the plan says; what is reported of it. Raises `DeployError`: then the disk does not start.

    `keep` puts a copy of the images into the cache partition once they are proved, and says what became of it.
    """
    begun = situation.now()
    with Disk(path) as disk:
        layout = prepare(disk, plan)
        areas = [_area(slot, plan) for slot in layout.slots if slot.part is not None and slot.part.cells]
        writer = Writer(disk, areas, moved=progress.moved, received=progress.received)
        try:
            progress.state("checking", sum(area.cells.used for area in areas))
            writer.compare()
            progress.state("receiving", writer.missing_bytes)
            for image, manifest in plan.manifests:
                complete(image, manifest, plan, writer, fill)
            writer.release()
            progress.state("verifying", readback.size(areas))
            digests = readback.read_back(disk, areas, progress.moved)
            _agree(digests, plan)
            kept = keep(disk, layout, writer) if keep else ""
        finally:
            writer.close()
        progress.state("personalising")
        proved = readback.combined(digests)
        facts = {"cells": proved, "written_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "deploy": situation.deploy}
        host_keys = personal.personalise(disk, layout, plan, facts)
        text = boot.menu(plan.order, plan.manifests, healing=plan.healing or kept == "complete")
        archives = windows_start.pointed(disk, layout, plan.manifests, plan.archives)
        efi = boot.make_efi(situation, disk.sector, text, archives)
        boot.make_bootable(disk, situation, layout, efi)
        return {
            "cells_sha256": proved,
            "fetched_bytes": writer.fetched,
            "written_bytes": disk.written,
            "compared_bytes": writer.compared,
            "seconds": round(situation.now() - begun, 1),
            "phases": progress.spent(),
            "host_keys": list(host_keys),
            "layout": [{"name": slot.name, "start": slot.start, "size": slot.size} for slot in layout.slots],
            "cache": kept,
        }


def prepare(disk: Disk, plan: Plan) -> Layout:
    """Make the disk unbootable and lay out its partitions. Raises `DeployError`, before anything is written where it
    does not fit.
    """
    found = read_table(disk)
    layout = plan_layout(disk, plan.order, plan.manifests, found)
    seal.seal_old(disk, found)
    there = {(part.name, part.start, part.size) for part in found}
    for slot in layout.slots:
        # A new partition shows nothing of what lay at its place before, while nobody has made its file system yet.
        if slot.part is None and (slot.name, slot.start, slot.size) not in there:
            disk.zero(slot.start, min(slot.size, 1024 * 1024))
    disk.flush()
    write_table(disk, layout)
    seal.seal_new(disk, layout)
    return layout


def complete(image: str, manifest: Manifest, plan: Plan, writer: Writer, fill: Fill) -> None:
    """Fill until nothing of that image is missing. Raises `DeployError`: what the source has is damaged, or not all."""
    for _ in range(_TRIES):
        if not wanted(manifest, plan, writer):
            return
        fill(image, manifest, writer)
        writer.finish()
    missing = wanted(manifest, plan, writer)
    if missing:
        damaged = [digest for digest in missing if digest in writer.damaged]
        what = "damaged on the image server" if damaged else "not on the image server"
        raise DeployError(
            f"{len(missing)} cells of the image {manifest.name}/{manifest.version} are {what}, such as "
            f"{(damaged or missing)[0].hex()[:16]}",
            advice="On the control node: lab image verify, then run the playbook image_server",
        )


def wanted(manifest: Manifest, plan: Plan, writer: Writer) -> list[bytes]:
    """The digests of cells of that image that are missing, in the order in which they lie on the disk."""
    own = _cells(manifest, plan)
    return [digest for digest in writer.missing if digest in own]


def thousandths(missing: Sequence[bytes], manifest: Manifest, plan: Plan) -> int:
    """How much of that image is missing: 1000 for all of it, at least 1 while anything is."""
    return min(1000, -(-1000 * len(missing) // max(1, len(_cells(manifest, plan)))))


def _cells(manifest: Manifest, plan: Plan) -> frozenset[bytes]:
    parts = (plan.lists[part.cells] for part in manifest.partitions if part.cells)
    return frozenset(digest for cells in parts for _, digest in cells.cells)


def _area(slot: Slot, plan: Plan) -> Area:
    assert slot.part is not None
    last = frozenset({0}) if slot.part.is_root else frozenset()
    return Area(slot.name, slot.start, plan.lists[slot.part.cells], last)


def _agree(digests: Sequence[str], plan: Plan) -> None:
    signed = [part.cells for _, manifest in plan.manifests for part in manifest.partitions if part.cells]
    if list(digests) != signed:
        raise DeployError("what was read back is not what was signed", advice="Image the PC again")
