"""A PC that mends itself from its cache partition, without network: the same path, with another source of cells.

It keeps its name, its keys and its machine-id where they can still be read, so that it stays the PC that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import hardware, trust, volumes
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.cache import CacheSource, is_plain
from lab_tool.imaging.deploy.image import Plan, carry_out, load_plan, wanted
from lab_tool.imaging.deploy.layout import CACHE, Found, Layout, plan_layout, read_table
from lab_tool.imaging.deploy.personal_linux import identity_files
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.talk import Progress
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.deploy.writer import Writer
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import Order

_ASK = "Image this PC over the network"


def heal(situation: Situation, show: Callable[[str], None]) -> None:
    """Bring the disk back to what its own copy says. Raises `LabError`."""
    path = _disk(situation)
    with Disk(path, write=False) as disk:
        slot = next((part for part in read_table(disk) if part.name == CACHE), None)
    if slot is None:
        raise DeployError("this PC keeps no copy of its image", where=str(path), advice=_ASK)
    with (
        Disk(path, write=False) as disk,
        volumes.device_of(disk, slot) as device,
        volumes.mounted(device, "ext4", write=False) as own,
    ):
        if not is_plain(own):
            raise DeployError("its own copy holds what this system never put there", where=str(path), advice=_ASK)
        order = _order(situation, own)
        manifests = trust.trusted_manifests(order, lambda image: _read(own / "images" / image))
        plan = load_plan(order, manifests, lambda name, digest: _read(own / "files" / digest))
        source = CacheSource(own / "packs")
        layout = plan_layout(disk, order, manifests, read_table(disk))
        _check(layout, slot, source, plan)
        plan = replace(plan, kept=_kept(disk, layout, plan), healing=True)
        show(f"{order.host}: repairing {path} from its own copy")

        def fill(image: str, manifest: Manifest, writer: Writer) -> None:
            source.fetch(wanted(manifest, plan, writer), writer.offer)

        carry_out(situation, plan, path, fill, Progress(None, situation.now))


def _disk(situation: Situation) -> Path:
    """The only disk, or the one of several that keeps a copy."""
    if situation.disk or len([disk for disk in hardware.disks(situation) if not disk.removable]) < 2:
        return hardware.choose_disk(situation, "")
    for candidate in hardware.disks(situation):
        path = Path("/dev", candidate.name)
        with Disk(path, write=False) as disk:
            if any(part.name == CACHE for part in read_table(disk)):
                return path
    raise DeployError("no disk of this PC keeps a copy of its image", advice=_ASK)


def _order(situation: Situation, own: Path) -> Order:
    text = _read(own / "order").decode("utf-8", "surrogateescape")
    order = trust.trusted_order(situation, text, _read(own / "order.sig").decode("utf-8", "replace"))
    if order.action != "image":
        raise DeployError(f"its own copy holds an order to {order.action}", advice=_ASK)
    return order


def _check(layout: Layout, there: Found, source: CacheSource, plan: Plan) -> None:
    """Raise `DeployError`, before anything is written, unless the copy stays where it is and has everything."""
    kept = layout.named(CACHE)
    if kept is None or (kept.start, kept.size) != (there.start, there.size):
        raise DeployError("its own copy lies where a system would be written", advice=_ASK)
    lacks = source.lacks([digest for cells in plan.lists.values() for _, digest in cells.cells])
    if lacks:
        raise DeployError(f"its own copy lacks {lacks} cells, or has them damaged", advice=_ASK)


def _kept(disk: Disk, layout: Layout, plan: Plan) -> dict[str, dict[str, bytes]]:
    found = {}
    for image, manifest in plan.manifests:
        slot = next(slot for slot in layout.of(image) if slot.part is manifest.root)
        try:
            with (
                volumes.device_of(disk, slot) as device,
                volumes.mounted(device, manifest.root.fs, write=False) as root,
            ):
                found[manifest.name] = identity_files(root)
        except (LabError, OSError):
            # Too broken to be read: the PC gets new keys, and has to be made known again.
            continue
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeployError(f"its own copy can't be read: {error.strerror}", where=str(path), advice=_ASK) from error
