"""Action plugin `lab_image_server_publish`: bring what an image server lacks from the store to it, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from lab_tool.errors import LabError
from lab_tool.plugins.module_utils.lab_image_server.shelf import staged_name
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_server_publish
short_description: Bring what an image server lacks from the store to it
description:
  - Copies only files that the server lacks or whose hash there is wrong; each is served once its hash was found right
    on the server. Removes what neither the inventory nor an open order wants.
  - Where there is no room for all of it, nothing is copied.
options:
  path: {description: The folder that is served.}
  orders: {description: The folder of the daemon's orders.}
  files: {description: What is to be served; each with path and size and sha256.}
  reserve: {description: Bytes of the server's disk that stay free.}
"""
MIB = 1024 * 1024
# After so much, what came is put in place: a connection that breaks later costs no more than this.
_AT_ONCE = 1024 * MIB


class ActionModule(ActionBase):
    """Asks the server what it has, copies what it lacks, lets it check that."""

    TRANSFERS_FILES = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, msg, copied, copied_bytes, repaired, removed}`, or a failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self._publish(task_vars or {})}
        except (LabError, AnsibleError, OSError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _publish(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        files = list(self._task.args["files"])
        there = self._ask(task_vars, do="look", files=files)
        lacking = {*there["missing"], *there["damaged"]}
        needed = [file for file in files if file["path"] in lacking]
        size = sum(int(file["size"]) for file in needed)
        told = {
            "changed": bool(needed or there["surplus"]),
            "msg": f"{len(needed)} files, {size // MIB} MiB; {len(there['surplus'])} files nobody wants",
            "copied": len(needed),
            "copied_bytes": size,
            "repaired": list(there["damaged"]),
            "removed": len(there["surplus"]),
        }
        room = int(there["free"]) - int(self._task.args["reserve"])
        if size > room + int(there["surplus_bytes"]):
            raise LabError(
                f"{size // MIB} MiB are to be copied, and the server has room for {max(room, 0) // MIB} MiB "
                f"beside its reserve; nothing was copied"
            )
        if self._task.check_mode or not told["changed"]:
            return told
        if size > room:
            self._ask(task_vars, do="sweep", files=files, unwanted=there["surplus"])
        if needed:
            self._copy(needed, task_vars)
        self._ask(task_vars, do="sweep", files=files, unwanted=there["surplus"])
        return told

    def _copy(self, needed: list[Mapping[str, Any]], task_vars: dict[str, Any]) -> None:
        """Copy them; the store's files are never changed, so they are what they were when they were listed."""
        root = Settings.from_environment(os.environ).images
        owner = str(self._get_remote_user() or "")
        staging = str(self._ask(task_vars, do="stage", owner=owner)["staging"])
        arrived: list[Mapping[str, Any]] = []
        for file in needed:
            self._connection.put_file(str(root / str(file["path"])), f"{staging}/{staged_name(str(file['path']))}")
            arrived.append(file)
            if sum(int(one["size"]) for one in arrived) >= _AT_ONCE:
                self._ask(task_vars, do="take", files=arrived)
                arrived = []
        if arrived:
            self._ask(task_vars, do="take", files=arrived)

    def _ask(self, task_vars: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        given = {"path": self._task.args["path"], "orders": self._task.args["orders"], **arguments}
        done: dict[str, Any] = self._execute_module(
            module_name="lab_image_server_store", module_args=given, task_vars=task_vars
        )
        if done.get("failed") or done.get("unreachable"):
            raise LabError(str(done.get("msg", "the server's files could not be read")))
        return done
