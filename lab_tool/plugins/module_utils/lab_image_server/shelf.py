"""The folder that is served: every file in it is one whose hash is known, and comes there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

FOLDERS = ("deploy", "images", "cells", "packs", "esp")
STAGING = ".staging"
LIVE = ("open", "claimed")
_PIECE = 1 << 20


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return found.hexdigest()
            found.update(piece)


def look(folder: Path, wanted: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Which of the wanted files are not there, and which are but are not what they should be."""
    missing, damaged = [], []
    for one in wanted:
        path = folder / one["path"]
        if not path.is_file() or path.is_symlink():
            missing.append(one["path"])
        elif path.stat().st_size != one["size"] or digest_of(path) != one["sha256"]:
            damaged.append(one["path"])
    return missing, damaged


def surplus(folder: Path, wanted: list[dict[str, Any]], orders: Path) -> list[str]:
    """Files that nobody wants: neither the inventory nor an order that may still be claimed."""
    keep = {one["path"] for one in wanted}
    for order in live_orders(orders):
        keep |= named_by(folder, order)
    files = [path for name in FOLDERS for path in sorted((folder / name).rglob("*")) if not path.is_dir()]
    return [name for name in (path.relative_to(folder).as_posix() for path in files) if name not in keep]


def live_orders(orders: Path) -> list[dict[str, Any]]:
    """The orders that a PC may still claim, or has claimed."""
    found = []
    for path in sorted(orders.glob("o-*.json")):
        try:
            record = json.loads(path.read_bytes())
            if record["state"] in LIVE:
                found.append(json.loads(record["text"]))
        except (ValueError, KeyError, TypeError):
            # The daemon counts it as withdrawn.
            continue
    return found


def named_by(folder: Path, order: dict[str, Any]) -> set[str]:
    """The files that one order needs."""
    paths = {path.relative_to(folder).as_posix() for path in (folder / "deploy" / order["deploy"]).rglob("*")}
    for system in order["systems"]:
        image = "images/" + system["image"]
        paths |= {image + "/manifest.json", image + "/manifest.sig"}
        try:
            manifest = json.loads((folder / image / "manifest.json").read_bytes())
        except (OSError, ValueError):
            continue
        paths |= {"cells/" + part["cells"] for part in manifest["partitions"] if part["cells"]}
        paths |= {"packs/" + pack + end for pack in manifest["packs"] for end in (".pack", ".idx")}
        if manifest["esp"]:
            paths.add("esp/" + manifest["esp"] + ".tar")
    return paths


def stage(folder: Path, owner: str) -> str:
    """An empty folder beside the served ones, which `owner` may fill; its path."""
    staging = folder / STAGING
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir(mode=0o700)
    if owner:
        shutil.chown(staging, owner)
    return str(staging)


def staged_name(path: str) -> str:
    """What a file is called while it comes."""
    return path.replace("/", "_")


def take(folder: Path, arrived: list[dict[str, Any]]) -> str:
    """Put files that came into the staging folder where they are served; what is wrong with the first bad one."""
    for one in arrived:
        came, path = folder / STAGING / staged_name(one["path"]), folder / one["path"]
        if came.is_symlink() or not came.is_file():
            return f"{one['path']} did not come"
        # From here on nobody but root can change it.
        os.chown(came, 0, 0)
        came.chmod(0o644)
        if came.stat().st_size != one["size"] or digest_of(came) != one["sha256"]:
            came.unlink()
            return f"{one['path']} is not what it should be: damaged in the store or on the way"
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with came.open("rb") as file:
            os.fsync(file.fileno())
        came.replace(path)
        handle = os.open(path.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    return ""


def sweep(folder: Path, unwanted: list[str]) -> None:
    """Remove files, manifests first, and folders that are then empty."""
    for name in sorted(unwanted, key=lambda one: not one.startswith(("images/", "deploy/"))):
        path = folder / name
        path.unlink()
        if path.parent.parent.name in ("images", "deploy") and not list(path.parent.iterdir()):
            path.parent.rmdir()
