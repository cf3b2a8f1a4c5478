"""The images that orders name, out of the store: whole, and signed by somebody whose signature counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab_tool.errors import RefusedError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.store.proof import Provenance
from lab_tool.imaging.store.store import Store
from lab_tool.school.load import load_school
from lab_tool.settings import Settings


def load_images(settings: Settings, names: Sequence[str], versions: Mapping[str, str]) -> dict[str, Manifest]:
    """The manifests by name. Raises `LabError` for one that is missing, damaged, or signed by nobody who may."""
    store, provenance = Store(settings.images), Provenance(settings, load_school(settings.inventory))
    found = {}
    for name in names:
        one = store.find(versions[name])
        if one.manifest.name != name or one.id != versions[name]:
            raise RefusedError(f"{versions[name][:12]} is no version of {name}", next_command=f"lab image show {name}")
        provenance.require(one)
        found[name] = one.manifest
    return found
