"""The manifest: what one version of an image is. Its SHA-256 is the image's id; a person's signature lies beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab_tool.imaging.format.cells import ALIGNMENT
from lab_tool.imaging.format.fields import DIGEST, NAME, Fields, FormatError, read_json

NAMESPACE = "lab-image"
FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "ntfs", "swap", "vfat")
FAMILIES = ("linux", "windows")
KINDS = ("recipe", "capture", "import")
_OR_EMPTY = re.compile(r"(?:[0-9a-f]{64})?")
_GUID = re.compile(r"(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})?")


@dataclass(frozen=True, slots=True)
class Partition:
    """One file system. `size` is the image's, in bytes, and the least a PC must give it; one that `grows` takes what
    room is left. `cells` is the SHA-256 of its list of cells, empty for swap, which is made anew. `uuid` is the file
    system's, `guid` that of the partition where the system insists on one (Windows), else empty.
    """

    name: str
    fs: str
    size: int
    grows: bool
    cells: str
    used: int
    uuid: str = ""
    guid: str = ""

    @property
    def is_root(self) -> bool:
        """Whether the system itself lies here."""
        return self.name == "system"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of an image. The partition named `system` holds the operating system; the disk's boot area is none of
    an image's, it comes with the deploy system. `source` says what it was made from, `contents` is the SHA-256 of the
    list of what is in it, `esp` that of an archive of files for the EFI partition, or empty.
    """

    name: str
    version: int
    made: str
    by: str
    family: str
    title: str
    kind: str
    source: Mapping[str, str]
    parent: str
    changes: str
    partitions: tuple[Partition, ...]
    packs: tuple[str, ...]
    contents: str
    esp: str = ""
    release: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The bytes that are signed: sorted keys, ASCII."""
        body: dict[str, Any] = {
            "v": 1,
            "type": "image",
            "name": self.name,
            "version": self.version,
            "made": self.made,
            "by": self.by,
            "family": self.family,
            "title": self.title,
            "kind": self.kind,
            "source": dict(self.source),
            "parent": self.parent,
            "changes": self.changes,
            "partitions": [
                {name: getattr(part, name) for name in Partition.__dataclass_fields__} for part in self.partitions
            ],
            "packs": list(self.packs),
            "contents": self.contents,
            "esp": self.esp,
            "release": dict(self.release),
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")

    @property
    def id(self) -> str:
        """SHA-256 of those bytes, in hexadecimal."""
        return hashlib.sha256(self.dump()).hexdigest()

    @property
    def root(self) -> Partition:
        """The partition of the operating system."""
        return next(part for part in self.partitions if part.is_root)

    @classmethod
    def parse(cls, data: bytes, image: str) -> Manifest:
        """The manifest in those bytes, which must be the one of the id `image`. Raises `FormatError`."""
        if hashlib.sha256(data).hexdigest() != image:
            raise FormatError("a manifest that is not the one that was signed")
        fields = read_json(data, "the manifest")
        if fields.number("v") != 1:
            raise FormatError("a manifest of a version that is not known here")
        fields.choice("type", ("image",))
        manifest = cls(
            name=fields.text("name", NAME),
            version=fields.number("version"),
            made=fields.text("made"),
            by=fields.text("by"),
            family=fields.choice("family", FAMILIES),
            title=fields.text("title"),
            kind=fields.choice("kind", KINDS),
            source=fields.mapping("source"),
            parent=fields.text("parent", _OR_EMPTY),
            changes=fields.text("changes", longest=10_000),
            partitions=fields.each("partitions", _partition),
            packs=fields.texts("packs", DIGEST),
            contents=fields.text("contents", DIGEST),
            esp=fields.text("esp", _OR_EMPTY),
            release=fields.mapping("release"),
        )
        fields.end()
        names = [part.name for part in manifest.partitions]
        if names.count("system") != 1 or len(set(names)) != len(names):
            raise FormatError("a manifest without exactly one partition named system, or with a name twice")
        if manifest.dump() != data:
            raise FormatError("a manifest that says the same in other bytes than those that are signed")
        return manifest


def _partition(fields: Fields) -> Partition:
    part = Partition(
        name=fields.text("name", NAME),
        fs=fields.choice("fs", FILE_SYSTEMS),
        size=fields.number("size"),
        grows=fields.flag("grows"),
        cells=fields.text("cells", _OR_EMPTY),
        used=fields.number("used"),
        uuid=fields.text("uuid", longest=64),
        guid=fields.text("guid", _GUID),
    )
    if part.size % ALIGNMENT or not part.size:
        raise FormatError(f"a partition of {part.size} bytes, which is no multiple of 1 MiB")
    if (part.fs == "swap") is bool(part.cells):
        raise FormatError(f"partition {part.name}: swap has no cells, everything else has")
    return part
