"""What a PC says of itself: name, system, time zone, clock, image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .findings import Finding

ZONES = "zoneinfo/"
# Names of one zone.
UTC = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"})
# What may stand in the record of the image; anything else in it is nobody's business.
IMAGE_FIELDS = ("id", "name", "version", "built")


def host_names(wanted: str, running: str, stored: str) -> Iterator[Finding]:
    """The kernel's name and the one that comes back after a reboot; a domain behind it does not matter."""
    for about, name in (("", running), ("stored", stored)):
        if name.partition(".")[0].lower() != wanted.lower():
            yield Finding("host_name", wanted, name or "none", about)


def system(os_release: str) -> str:
    """`debian12`, as the inventory names systems; from `/etc/os-release`."""
    fields = dict(line.partition("=")[::2] for line in os_release.splitlines() if "=" in line)
    return "".join(fields.get(name, "").strip("\"'").replace(".", "") for name in ("ID", "VERSION_ID"))


def systems(wanted: str, found: str) -> Iterator[Finding]:
    """Another system than the inventory's."""
    if wanted and wanted != found:
        yield Finding("system", wanted, found)


def time_zone(localtime: Path = Path("/etc/localtime"), name: Path = Path("/etc/timezone")) -> str:
    """The zone's name; UTC where none was set, empty where only its rules are known."""
    if localtime.is_symlink():
        return str(localtime.readlink()).rpartition(ZONES)[2]
    if name.exists():
        return name.read_text(encoding="utf-8", errors="replace").strip()
    return "" if localtime.exists() else "UTC"


def time_zones(wanted: str, found: str) -> Iterator[Finding]:
    """Another zone than the school's."""
    if wanted and found != wanted and not {wanted, found} <= UTC:
        yield Finding("time_zone", wanted, found or "a copy without a name")


def clocks(control: int, here: int, limit: int) -> Iterator[Finding]:
    """A clock that is off by more than `limit` seconds; `control` is when the control node asked."""
    skew = here - control
    if abs(skew) > limit:
        yield Finding("clock", f"within {limit} s of the control node", f"{skew:+d} s")


def image(path: Path = Path("/etc/lab/image.json")) -> dict[str, str]:
    """What the PC was imaged with, empty where nothing tells. Raises `ValueError` for a file that is no such record."""
    if not path.exists():
        return {}
    said: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        raise ValueError(f"{path} is no record of an image")
    return {field: str(said[field]) for field in IMAGE_FIELDS if isinstance(said.get(field), (str, int))}


def images(wanted: str, found: Mapping[str, str]) -> Iterator[Finding]:
    """Another image than wanted; one that is not known is no finding."""
    if wanted and found.get("id") and found["id"] != wanted:
        yield Finding("image", wanted, found["id"])
