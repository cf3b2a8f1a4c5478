"""A copy of the images on the disk itself, so that a PC mends itself without network. It is not trusted: what is in it
is held to the signed order, as what comes over the network is.

On the partition `lab-cache` (ext4): `order`, `order.sig`, `images/<id>`, `files/<sha256>`, `packs/<number>.pack|.idx`,
`deploy/vmlinuz`, `deploy/initrd.img`. GRUB's menu offers to start that.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import own_system, volumes
from lab_tool.imaging.deploy.blocks import Disk
from lab_tool.imaging.deploy.image import Plan
from lab_tool.imaging.deploy.layout import CACHE, Layout
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.sources import Offer, stretches
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.deploy.web import Web
from lab_tool.imaging.deploy.writer import Area, Writer
from lab_tool.imaging.format.cells import CELL_SIZE
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import PackWriter, Place, dump_index, expand, parse_index

# Only what the PC itself has to compress, which is quick at this level.
_LEVEL = 3
# Bytes of a file that is read into memory.
_LONGEST = 128 * 1024 * 1024
_KERNEL = ("vmlinuz", "initrd.img")

Show = Callable[[str], None]
Keeper = Callable[[Disk, Layout, Writer], str]


class CacheSource:
    """Cells of the packs in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.places: Mapping[str, Mapping[bytes, Place]] = {
            path.stem: _index(path) for path in sorted(folder.glob("*.idx")) if path.with_suffix(".pack").exists()
        }

    @property
    def digests(self) -> frozenset[bytes]:
        """The cells that it has."""
        return frozenset(digest for places in self.places.values() for digest in places)

    def fetch(self, digests: Sequence[bytes], offer: Offer) -> None:
        """Hand over each of these cells that it has."""
        for stretch in stretches(digests, self.places):
            with (self._folder / f"{stretch.pack}.pack").open("rb") as file:
                file.seek(stretch.start)
                content = file.read(stretch.end - stretch.start)
            for digest, place in stretch.frames:
                start = place.offset - stretch.start
                offer(digest, content[start : start + place.length])

    def lacks(self, digests: Sequence[bytes]) -> int:
        """How many of these cells it does not have, or has damaged: each one is looked at."""
        right: set[bytes] = set()

        def look(digest: bytes, frame: bytes) -> None:
            with suppress(FormatError):
                expand(frame, digest, CELL_SIZE)
                right.add(digest)

        self.fetch(digests, look)
        return len(set(digests) - right)


def keeper(situation: Situation, plan: Plan, order: str, signature: str, web: Web, show: Show) -> Keeper:
    """What `carry_out` calls to make the copy. A copy that can't be made does no harm to the PC: it is said."""

    def keep(disk: Disk, layout: Layout, writer: Writer) -> str:
        slot = layout.named(CACHE)
        if slot is None:
            return ""
        try:
            with volumes.device_of(disk, slot) as device:
                if volumes.is_empty(disk, slot) or not _is_ours(device):
                    volumes.make_file_system(device, CACHE)
                with volumes.mounted(device, "ext4") as folder:
                    _files(folder, plan, order, signature, situation, web)
                    _cells(folder / "packs", disk, writer)
        except (LabError, OSError) as error:
            show(f"This PC keeps no copy of its image: {error}")
            return f"none: {error}"[:200]
        return "complete"

    return keep


def is_plain(folder: Path) -> bool:
    """Whether nothing in there leads elsewhere or never ends: folders and files, none larger than ours ever are."""
    for place, folders, names in os.walk(folder, onerror=_raise):
        for name in (*folders, *names):
            status = Path(place, name).lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            longest = status.st_size if name.endswith(".pack") else _LONGEST
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size > longest:
                return False
    return True


def _is_ours(device: Path) -> bool:
    """Whether the copy that is there is one that may be added to: whoever sat at this PC may have made anything."""
    try:
        with volumes.mounted(device, "ext4", write=False) as folder:
            return is_plain(folder)
    except (LabError, OSError):
        return False


def _raise(error: OSError) -> None:
    raise error


def _files(folder: Path, plan: Plan, order: str, signature: str, situation: Situation, web: Web) -> None:
    """All but the cells. The order comes last and goes first: without it nothing here is used."""
    (folder / "order").unlink(missing_ok=True)
    for image, manifest in plan.manifests:
        _put(folder / "images" / image, manifest.dump())
    for digest, cells in plan.lists.items():
        _put(folder / "files" / digest, cells.dump())
    for archive in plan.archives:
        _put(folder / "files" / hashlib.sha256(archive).hexdigest(), archive)
    system = [web.get(f"/deploy/{situation.deploy}/{name}") for name in _KERNEL]
    own_system.check(situation, *system)
    for name, content in zip(_KERNEL, system, strict=True):
        _put(folder / "deploy" / name, content)
    _put(folder / "order.sig", signature.encode("utf-8"))
    _put(folder / "order", order.encode("utf-8", "surrogateescape"))


def _cells(folder: Path, disk: Disk, writer: Writer) -> None:
    """Add the cells that the copy lacks, read from where they were just proved to be; drop packs that nobody needs."""
    folder.mkdir(exist_ok=True)
    needed = frozenset(digest for area in writer.areas for _, digest in area.cells.cells)
    source = CacheSource(folder)
    for name, places in source.places.items():
        if not needed & set(places):
            for suffix in (".idx", ".pack"):
                (folder / f"{name}{suffix}").unlink()
    lacking = needed - source.digests
    if not lacking:
        return
    name = f"{max((int(stem) for stem in source.places if stem.isdigit()), default=0) + 1:04d}"
    made = folder / f"{name}.pack"
    try:
        with made.open("wb") as file:
            pack = PackWriter(file, _LEVEL)
            for area, index, digest in _each(writer, lacking):
                pack.add(digest, bytes(disk.read(area.offset(index), area.cells.cell_size)))
            file.flush()
            os.fsync(file.fileno())
        _put(made.with_suffix(".idx"), dump_index(pack.places))
    except OSError as error:
        made.unlink(missing_ok=True)
        raise DeployError(f"its cache partition can't hold its images: {error.strerror}", where=CACHE) from error


def _each(writer: Writer, lacking: frozenset[bytes]) -> Iterator[tuple[Area, int, bytes]]:
    for area in writer.areas:
        for index, (_, digest) in enumerate(area.cells.cells):
            if digest in lacking:
                yield area, index, digest


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _index(path: Path) -> Mapping[bytes, Place]:
    try:
        return parse_index(path.read_bytes())
    except FormatError:
        # A copy that was cut off: what it would have held is missing, and said to be.
        return {}
