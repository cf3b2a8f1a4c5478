"""Reading the store: which images there are, what their partitions hold, and each cell held to its digest.

images/<id>/manifest.json, manifest.sig     never changed; the id is the SHA-256 of manifest.json
cells/<sha256>, contents/<sha256>.zst, esp/<sha256>.tar, packs/<sha256>.pack, packs/<sha256>.idx
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.cells import CELL_SIZE, CellList
from lab_tool.imaging.format.fields import DIGEST, FormatError
from lab_tool.imaging.format.manifest import Manifest, Partition
from lab_tool.imaging.format.packs import Place, expand, parse_index
from lab_tool.imaging.store.draft import Draft, Progress, untold
from lab_tool.imaging.store.threads import THREADS, in_order
from lab_tool.school.problem import did_you_mean, quote

if TYPE_CHECKING:
    from lab_tool.imaging.store.adding import Record

VERIFY = "lab image verify"
_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_REF = re.compile(r"([a-z0-9][a-z0-9-]{0,62})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A version in the store: its manifest, the bytes of it that were signed, and the signature."""

    id: str
    manifest: Manifest
    data: bytes
    signature: str

    @property
    def ref(self) -> str:
        """How a person names it: `debian-lab/3`."""
        return f"{self.manifest.name}/{self.manifest.version}"


class Store:
    """The images below `root`. Whether a person of the school signed one is for `proof` to say."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[bytes, tuple[str, Place]] | None = None

    def images(self) -> list[StoredImage]:
        """Every version that can be read, by name and version."""
        return self.survey()[0]

    def survey(self) -> tuple[list[StoredImage], dict[str, str]]:
        """Every version that can be read, by name and version; and by id what is wrong with those that can't."""
        found: list[StoredImage] = []
        damaged: dict[str, str] = {}
        for image in self._ids():
            try:
                found.append(self.read(image))
            except LabError as error:
                # Unless it was removed in this moment.
                if (self.root / "images" / image).is_dir():
                    damaged[image] = error.what
        found.sort(key=lambda one: (one.manifest.name, one.manifest.version))
        return found, damaged

    def read(self, image: str) -> StoredImage:
        """The version of that id. Raises `LabError` when it is not what it was."""
        folder = self.root / "images" / image
        try:
            data = (folder / "manifest.json").read_bytes()
            return StoredImage(image, Manifest.parse(data, image), data, (folder / "manifest.sig").read_text("ascii"))
        except (OSError, FormatError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else str(error)
            raise LabError(f"this image can't be used: {what}", where=str(folder), next_command=VERIFY) from error

    def find(self, ref: str) -> StoredImage:
        """The version that `name` (its last), `name/version` or the first digits of an id mean. Raises `UsageError`."""
        if DIGEST.fullmatch(ref) and (self.root / "images" / ref).is_dir():
            return self.read(ref)
        images = self.images()
        exact = _REF.fullmatch(ref)
        if exact:
            found = [one for one in images if (one.manifest.name, one.manifest.version) == (exact[1], int(exact[2]))]
        else:
            found = [one for one in images if one.manifest.name == ref][-1:]
            if not found and _PREFIX.fullmatch(ref):
                found = [one for one in images if one.id.startswith(ref)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{ref} is the beginning of {len(found)} ids", next_command="lab image list")
        hint = did_you_mean(ref, {name for one in images for name in (one.ref, one.manifest.name)})
        raise UsageError(
            f"there is no image {quote(ref)}" + (f". {hint}" if hint else ""), next_command="lab image list"
        )

    def get(self, ref: str) -> tuple[str, Manifest]:
        """Id and manifest of what `find` finds."""
        found = self.find(ref)
        return found.id, found.manifest

    def known_cells(self) -> Mapping[bytes, tuple[str, Place]]:
        """By digest, the pack of each cell in the store, and its place there."""
        known = self._known
        if known is None:
            known = {}
            for path in sorted((self.root / "packs").glob("*.idx")):
                pack = path.stem
                if DIGEST.fullmatch(pack) and path.with_suffix(".pack").is_file():
                    for digest, place in self.index(pack).items():
                        known.setdefault(digest, (pack, place))
            # Only once it is complete: other threads look at it.
            self._known = known
        return known

    def forget(self) -> None:
        """Look at the packs anew when cells are asked for next."""
        self._known = None

    def index(self, pack: str) -> dict[bytes, Place]:
        """Where each cell lies in a pack. Raises `LabError`."""
        path = self.pack_path(pack).with_suffix(".idx")
        try:
            return parse_index(path.read_bytes())
        except (OSError, FormatError) as error:
            raise LabError(f"a damaged index: {error}", where=str(path), next_command=VERIFY) from error

    def pack_path(self, pack: str) -> Path:
        """The file of a pack."""
        return self.root / "packs" / f"{pack}.pack"

    def cells_path(self, part: Partition) -> Path:
        """The file of a partition's list of cells."""
        return self.root / "cells" / part.cells

    def contents_path(self, manifest: Manifest) -> Path:
        """The file of the list of what is in an image."""
        return self.root / "contents" / f"{manifest.contents}.zst"

    def esp_path(self, manifest: Manifest) -> Path | None:
        """The archive of files for the EFI partition, if it has one."""
        return self.root / "esp" / f"{manifest.esp}.tar" if manifest.esp else None

    def cells(self, part: Partition) -> CellList:
        """The cells of a partition, held to the digest in the manifest. Raises `LabError`."""
        path = self.cells_path(part)
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != part.cells:
                raise FormatError("it is not the one that was signed")
            cells = CellList.parse(data)
            if cells.size != part.size:
                raise FormatError(f"it is of a partition of {cells.size} bytes")
        except (OSError, FormatError) as error:
            raise LabError(f"a damaged list of cells: {error}", where=str(path), next_command=VERIFY) from error
        return cells

    def read_cell(self, digest: bytes, size: int = CELL_SIZE) -> bytes:
        """The content of a cell. Raises `LabError` when the store does not have it, or has something else there."""
        pack, place = self._place(digest)
        try:
            return expand(self._frame(pack, place), digest, size)
        except (OSError, FormatError) as error:
            raise LabError(str(error), where=str(self.pack_path(pack)), next_command=VERIFY) from error

    def read_frame(self, digest: bytes) -> bytes:
        """A cell as it lies in its pack, compressed and unchecked."""
        return self._frame(*self._place(digest))

    def contents(self, manifest: Manifest) -> Mapping[str, Any]:
        """The packages and files of an image. Raises `LabError`."""
        path = self.contents_path(manifest)
        try:
            data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
            if hashlib.sha256(data).hexdigest() != manifest.contents:
                raise FormatError("it is not the one that was signed")
            contents: Mapping[str, Any] = json.loads(data)
        except (OSError, ValueError, zstandard.ZstdError) as error:
            raise LabError(f"a damaged list of contents: {error}", where=str(path), next_command=VERIFY) from error
        return contents

    def materialise(self, part: Partition, path: Path, progress: Progress = untold) -> None:
        """Write a partition's content to a new file of its size; what is zeros takes no room. Raises `LabError`."""
        cells = self.cells(part)
        total = cells.used
        # Once, and not by each thread.
        self.known_cells()
        with path.open("wb") as file, ThreadPoolExecutor(THREADS) as pool:
            file.truncate(part.size)

            def put(cell: tuple[int, bytes]) -> int:
                content = self.read_cell(cell[1], cells.cell_size)
                if content.count(0) != len(content):
                    os.pwrite(file.fileno(), content, cell[0] * cells.cell_size)
                return len(content)

            done = 0
            for size in in_order(pool, put, cells.cells):
                done += size
                progress(part.name, done, total)

    def add(self, draft: Draft, sign: Callable[[bytes], str], made: str, by: str, record: Record | None = None) -> str:
        """Make a draft the next version of its name, and return its id; see `adding.add`."""
        from lab_tool.imaging.store.adding import add

        return add(self, draft, sign, made, by, record).image.id

    def _ids(self) -> list[str]:
        folder = self.root / "images"
        return sorted(path.name for path in folder.iterdir() if DIGEST.fullmatch(path.name)) if folder.is_dir() else []

    def _place(self, digest: bytes) -> tuple[str, Place]:
        found = self.known_cells().get(digest)
        if found is None:
            raise LabError(f"the store lacks the cell {digest.hex()[:16]}", where=str(self.root), next_command=VERIFY)
        return found

    def _frame(self, pack: str, place: Place) -> bytes:
        with self.pack_path(pack).open("rb") as file:
            file.seek(place.offset)
            return file.read(place.length)
