"""Action plugin `lab_image_server_wanted`: which PCs an image server serves, and which files of the store they need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from lab_tool.errors import LabError
from lab_tool.imaging.orders import control_key
from lab_tool.imaging.serving import ServedFile, files_of_deploy_system, files_of_image
from lab_tool.imaging.store.promotions import Promotions
from lab_tool.imaging.store.proof import Provenance
from lab_tool.imaging.store.store import Store
from lab_tool.school.load import load_school
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_server_wanted
short_description: Which PCs an image server serves, and which files of the store they need
description:
  - The PCs are those of the inventory that have a MAC and whose C(image_server) is this host, or is not said.
  - The images are those that C(image_versions) names for their C(image_systems); of each, who made it and who
    promoted it is proved by the log. The deploy systems are those that C(image_deploy_system) names for them, and
    C(deploy); of each, who built it is proved.
options:
  deploy: {description: Id of a deploy system that is served in any case; may be empty.}
"""


class ActionModule(ActionBase):
    """Reads inventory, log and store; connects to nothing."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{clients, images, deploy_systems, files, signers}`, or a failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self._wanted(task_vars or {})}
        except (LabError, OSError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _wanted(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        settings = Settings.from_environment(os.environ)
        server, hostvars = str(task_vars["inventory_hostname"]), task_vars["hostvars"]
        names = sorted(str(name) for name in task_vars["groups"]["all"] if str(name) != server)
        pcs = {name: pc for name in names if (pc := hostvars[name]).get("lab_mac") and _is_served(pc, server)}
        images: dict[str, set[bool]] = {}
        for pc in pcs.values():
            for image in _images_of(pc):
                images.setdefault(image, set()).add(bool(pc.get("lab_canary")))
        deploys = {str(pc.get("image_deploy_system") or "") for pc in pcs.values()} | {str(self._task.args["deploy"])}
        deploys.discard("")
        files, named = _files(settings, images, sorted(deploys))
        return {
            "changed": False,
            "clients": [_client(name, pc) for name, pc in pcs.items()],
            "images": named,
            "deploy_systems": sorted(deploys),
            "files": files,
            "signers": self._signers(settings),
        }

    def _signers(self, settings: Settings) -> list[str]:
        """Whose orders the server takes: this control node's, whose key is made when its first server is set up."""
        if self._task.check_mode and not (settings.keys / "image").is_file():
            return []
        control_key.make_control_key(settings)
        return [control_key.public_line(settings)]


def _is_served(pc: Mapping[str, Any], server: str) -> bool:
    return str(pc.get("image_server") or server) == server


def _images_of(pc: Mapping[str, Any]) -> Iterable[str]:
    versions = pc.get("image_versions") or {}
    return [str(versions[name]) for name in pc.get("image_systems") or versions if name in versions]


def _client(name: str, pc: Mapping[str, Any]) -> dict[str, str]:
    address = str(pc.get("ansible_host") or "")
    return {"name": name, "mac": str(pc["lab_mac"]).lower(), "address": address, "room": str(pc.get("lab_room") or "")}


def _files(
    settings: Settings, images: Mapping[str, set[bool]], deploys: list[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """All files, each once; and what each image is called. Raises `LabError` where one is nobody's, or damaged."""
    store, named = Store(settings.images), {}
    found: dict[str, ServedFile] = {}
    school = load_school(settings.inventory)
    provenance, promotions = Provenance(settings, school), Promotions(settings, school)
    for image, rings in sorted(images.items()):
        one = store.find(image)
        provenance.require(one)
        for canary in rings:
            promotions.require(one, canary=canary)
        named[image] = one.ref
        found |= {file.path: file for file in files_of_image(store, one)}
    for deploy in deploys:
        found |= {file.path: file for file in files_of_deploy_system(settings, deploy)}
    return [file.as_dict() for file in found.values()], named
