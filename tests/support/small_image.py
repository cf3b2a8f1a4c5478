"""A small Debian that starts on a virtual PC: built once by the builder of images, kept in the testbed's cache.

`small_image()` is a draft, whose file lies in the cache: hand it to the store, and don't write to it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lab_tool.imaging.build as builder
from lab_tool.imaging.build.linux import from_debian
from lab_tool.imaging.build.recipe import OriginShape, Recipe, RecipeShape
from lab_tool.imaging.store.draft import Draft, DraftPartition

NAME = "debian-small"
PACKAGES = ("iputils-ping",)
# Neither read nor loaded by a virtual PC; without them the image is half as large.
LEFT_OUT = (
    *(f"/lib/modules/*/kernel/drivers/{kind}/*" for kind in ("gpu", "iio", "infiniband", "isdn", "media", "staging")),
    "/lib/modules/*/kernel/sound/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)
# The modules of the builder that decide what comes out.
_MAKERS = ("apt", "debian", "filesystem", "linux", "tidy")


def small_recipe(
    name: str = NAME, *, fs: str = "ext4", size_mib: int = 640, swap_mib: int = 64, packages: Sequence[str] = PACKAGES
) -> Recipe:
    """A recipe with the kernel for virtual PCs: systemd, an SSH server, Python, sudo."""
    suite = codename()
    fields: dict[str, Any] = {
        "image": name,
        "title": {"zh": "测试", "en": "Small Debian"},
        "family": "linux",
        "from": {"debian": {"suite": suite}},
        "packages": list(packages),
        "kernel": "linux-image-cloud-amd64",
        "system": {"fs": fs, "size_mib": size_mib},
        "swap_mib": swap_mib,
    }
    return Recipe(RecipeShape.model_validate(fields), Path("/"), json.dumps(fields, sort_keys=True))


def small_image(
    name: str = NAME, *, fs: str = "ext4", size_mib: int = 640, swap_mib: int = 64, packages: Sequence[str] = PACKAGES
) -> Draft:
    """The image, built first when the cache has none of this recipe and this builder."""
    recipe = small_recipe(name, fs=fs, size_mib=size_mib, swap_mib=swap_mib, packages=packages)
    cache = Path(os.environ.get("LAB_TESTBED_CACHE") or "/var/cache/lab-testbed").absolute()
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    makers = [Path(__file__), *(Path(builder.__file__).with_name(f"{name}.py") for name in _MAKERS)]
    made_of = "\0".join([recipe.text, *(path.read_text(encoding="utf-8") for path in makers)])
    result = cache / f"image-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    with (cache / "image-lock").open("w") as lock:
        # Two builders at once: the second waits, and finds the first one's work.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            work = Path(tempfile.mkdtemp(prefix="image-building-", dir=cache))
            try:
                _build(recipe, work)
                (work / "out").rename(result)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    os.utime(result)
    return _read(result)


def _build(recipe: Recipe, work: Path) -> None:
    origin: OriginShape = recipe.shape.origin
    assert origin.debian
    draft = from_debian(recipe, origin.debian, work, lambda text: None, left_out=LEFT_OUT)
    out = work / "out"
    out.mkdir()
    (work / "system.img").rename(out / "system.img")
    (out / "draft.json").write_text(json.dumps(asdict(draft), default=str), encoding="utf-8")


def _read(result: Path) -> Draft:
    fields = json.loads((result / "draft.json").read_text(encoding="utf-8"))
    partitions = []
    for part in fields.pop("partitions"):
        used = part.pop("used")
        device = result / "system.img" if part.pop("device") else None
        partitions.append(DraftPartition(**part, device=device, used=used and tuple(map(tuple, used))))
    return replace(Draft(**{**fields, "partitions": (), "esp": None}), partitions=tuple(partitions))


def codename() -> str:
    """The release that this machine runs, which it can get packages of."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]
