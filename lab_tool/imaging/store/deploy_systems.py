"""The deploy systems in the store: what PCs boot from the network to be imaged, each under the digest of what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_tool.canonical import Json, dump
from lab_tool.core.orders import Desk
from lab_tool.core.people_watch import KIND as PEOPLE_KIND
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.format.fields import DIGEST
from lab_tool.imaging.store.proof import why_unsigned
from lab_tool.imaging.store.record import MAKERS, record_act, require_may, sign_act
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, find, scan
from lab_tool.school.load import load_school
from lab_tool.school.model import School
from lab_tool.school.problem import quote
from lab_tool.settings import Settings

BUILT = "image.deploy_system"
NAMESPACE = "lab-image-deploy-system"


@dataclass(frozen=True, slots=True)
class DeploySystem:
    """One deploy system: what its `deploy.json` says, and the files beside it with their bytes."""

    id: str
    about: Mapping[str, Any]
    files: Mapping[str, int]


def deploy_systems(root: Path) -> list[DeploySystem]:
    """Those in the store at `root`, oldest first."""
    folder = root / "deploy"
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if DIGEST.fullmatch(path.name) and (path / "deploy.json").is_file()]
    return [_read(path) for path in sorted(found, key=lambda path: (path / "deploy.json").stat().st_mtime_ns)]


def find_deploy_system(root: Path, ref: str = "") -> DeploySystem:
    """The one whose id begins so; the last one that was built where nothing is said. Raises `UsageError`."""
    known = deploy_systems(root)
    found = [one for one in known if one.id.startswith(ref)] if ref else known[-1:]
    if len(found) != 1:
        what = f"{len(found)} deploy systems begin with {quote(ref)}" if found else f"there is no deploy system {ref}"
        raise UsageError(what.rstrip(), next_command="lab image deploy-system build")
    return found[0]


def faults_of(root: Path, one: DeploySystem) -> list[str]:
    """Files of a deploy system that are not what its `deploy.json` says."""
    named = one.about.get("files")
    if not isinstance(named, Mapping):
        return ["deploy.json"]
    found = []
    for name, digest in sorted(named.items()):
        path = root / "deploy" / one.id / str(name)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != str(digest):
            found.append(str(name))
    return found


def known_pins(settings: Settings) -> dict[str, str]:
    """By host, the certificate of each image server, as it was last read back from it."""
    pins: dict[str, str] = {}
    for entry in find(settings.log, Query(kinds=("evidence.read",))):
        evidence = entry.body.get("evidence")
        if not isinstance(evidence, dict) or "check" in entry.body or evidence.get("verb") != "image_server":
            continue
        values = evidence.get("values")
        pin = values.get("pin") if isinstance(values, dict) else None
        if evidence.get("outcome") == "ok" and isinstance(pin, str) and DIGEST.fullmatch(pin):
            pins |= dict.fromkeys(entry.subject.hosts, pin)
    return pins


def require_may_build(desk: Desk) -> None:
    """Refuse those who may not make images."""
    require_may(desk, MAKERS)


def record_built(desk: Desk, one: DeploySystem, pins: Mapping[str, str], firmware: tuple[str, ...]) -> Entry:
    """Write down which deploy system was built, by whom, and which servers it talks to."""
    person, root = require_may(desk, MAKERS), desk.settings.images
    intent: dict[str, Json] = {
        "v": 1,
        "type": BUILT,
        "origin": desk.school.log.origin,
        "person": person.id,
        "deploy": one.id,
        "description": _description(root, one.id),
        "pins": dict(pins),
        "firmware": list(firmware),
    }
    return record_act(desk, person, BUILT, intent, sign_act(desk, person, intent, NAMESPACE))


def require_built(settings: Settings, deploy: str) -> DeploySystem:
    """The deploy system of that id, if it is what somebody who may build one signed for. Raises `LabError`.

    Its id tells what is in it, and its description the bytes that PCs load.
    """
    one, build = find_deploy_system(settings.images, deploy), "lab image deploy-system build"
    if one.id != deploy:
        raise UsageError(f"image_deploy_system takes the whole id: {one.id}", where="inventory/group_vars")
    faults = faults_of(settings.images, one)
    if faults:
        raise LabError(f"the deploy system {deploy[:12]} is damaged: {', '.join(faults)}", next_command=build)
    if not was_built(settings, load_school(settings.inventory), deploy):
        raise RefusedError(f"by the log nobody built the deploy system {deploy[:12]} as it is", next_command=build)
    return one


def was_built(settings: Settings, school: School, deploy: str) -> bool:
    """Whether somebody signed for the deploy system's description as it is, by the log."""
    entries = scan(settings.log, Query(kinds=(BUILT, PEOPLE_KIND)))
    people = [entry for entry in entries if entry.kind == PEOPLE_KIND]
    for entry in entries:
        intent, armored = entry.body.get("intent"), str(entry.body.get("signature"))
        if entry.kind != BUILT or not isinstance(intent, dict) or intent.get("deploy") != deploy:
            continue
        if intent.get("description") == _description(settings.images, deploy) and not why_unsigned(
            school, people, entry, dump(intent), armored, NAMESPACE
        ):
            return True
    return False


def _description(root: Path, deploy: str) -> str:
    return hashlib.sha256((root / "deploy" / deploy / "deploy.json").read_bytes()).hexdigest()


def _read(folder: Path) -> DeploySystem:
    try:
        about = json.loads((folder / "deploy.json").read_bytes())
    except (OSError, ValueError) as error:
        raise LabError(f"this deploy system can't be read: {error}", where=str(folder)) from error
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return DeploySystem(folder.name, about if isinstance(about, dict) else {}, dict(sorted(files.items())))
