"""Which files of the store a PC needs of an image or of a deploy system, and what each of them must be."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.store.deploy_systems import require_built
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.settings import Settings

VERIFY = "lab image verify"


@dataclass(frozen=True, slots=True)
class ServedFile:
    """One file, by its path below the store and below what the server serves."""

    path: str
    size: int
    sha256: str

    def as_dict(self) -> dict[str, str | int]:
        """For Ansible."""
        return asdict(self)


def files_of_image(store: Store, one: StoredImage) -> list[ServedFile]:
    """Packs first and the manifest last, so that an image whose manifest is there is there. Raises `LabError`."""
    root, manifest = store.root, one.manifest
    found = []
    for pack in manifest.packs:
        # Too large to be hashed here: the server holds what comes to the pack's name, which is its hash.
        found += [_named(root, f"packs/{pack}.pack", pack), _hashed(root, f"packs/{pack}.idx")]
    found += [_named(root, f"cells/{part.cells}", part.cells) for part in manifest.partitions if part.cells]
    if manifest.esp:
        found.append(_named(root, f"esp/{manifest.esp}.tar", manifest.esp))
    folder = f"images/{one.id}"
    return [*found, _hashed(root, f"{folder}/manifest.sig"), _named(root, f"{folder}/manifest.json", one.id)]


def files_of_deploy_system(settings: Settings, deploy: str) -> list[ServedFile]:
    """The description last. Raises `LabError`."""
    root, one = settings.images, require_built(settings, deploy)
    names = sorted(one.files, key=lambda name: (name == "deploy.json", name))
    return [_hashed(root, f"deploy/{one.id}/{name}") for name in names]


def _named(root: Path, path: str, sha256: str) -> ServedFile:
    try:
        return ServedFile(path, (root / path).stat().st_size, sha256)
    except OSError as error:
        raise LabError(f"the store lacks it: {error.strerror}", where=str(root / path), next_command=VERIFY) from error


def _hashed(root: Path, path: str) -> ServedFile:
    try:
        data = (root / path).read_bytes()
    except OSError as error:
        raise LabError(f"the store lacks it: {error.strerror}", where=str(root / path), next_command=VERIFY) from error
    return ServedFile(path, len(data), hashlib.sha256(data).hexdigest())
