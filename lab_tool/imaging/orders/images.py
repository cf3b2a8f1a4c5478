"""The images that orders name, out of the store: whole, signed by whom they say, and promoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab_tool.errors import RefusedError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.store.promotions import Promotions
from lab_tool.imaging.store.proof import Provenance
from lab_tool.imaging.store.store import Store
from lab_tool.school.load import load_school
from lab_tool.settings import Settings


def load_images(
    settings: Settings, names: Sequence[str], versions: Mapping[str, str], *, canary: bool
) -> dict[str, Manifest]:
    """The manifests by name, for a PC that is a canary or is none.

    Raises `LabError` for one that is missing, damaged, signed by nobody who may, or was not promoted.
    """
    store, school = Store(settings.images), load_school(settings.inventory)
    provenance, promotions = Provenance(settings, school), Promotions(settings, school)
    found = {}
    for name in names:
        one = store.find(versions[name])
        if one.manifest.name != name or one.id != versions[name]:
            raise RefusedError(f"{versions[name][:12]} is no version of {name}", next_command=f"lab image show {name}")
        provenance.require(one)
        promotions.require(one, canary=canary)
        found[name] = one.manifest
    return found
