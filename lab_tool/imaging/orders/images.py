"""The images that orders name, out of the store: whole, and signed by somebody whose signature counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab_tool.errors import RefusedError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.store.store import Store
from lab_tool.settings import Settings


def load_images(settings: Settings, names: Sequence[str], versions: Mapping[str, str]) -> dict[str, Manifest]:
    """The manifests by name. Raises `LabError` for one that is missing, damaged, or signed by nobody who may."""
    store = Store(settings.images)
    found = {}
    for name in names:
        image, manifest = store.get(versions[name])
        if manifest.name != name or image != versions[name]:
            raise RefusedError(f"{versions[name][:12]} is no version of {name}", next_command=f"lab image show {name}")
        found[name] = manifest
    return found
