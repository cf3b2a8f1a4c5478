"""Action plugin `lab_image_capture_fetch`: bring what a captured PC sent from the image server to the control node."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from lab_tool.errors import LabError
from lab_tool.imaging.orders.fetch import MIB, fetch
from lab_tool.imaging.orders.over_ssh import OverSsh
from lab_tool.imaging.orders.parts import incoming
from lab_tool.recording.live import tell
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_capture_fetch
short_description: Bring what a captured PC sent from the image server to the control node
description:
  - Over SSH, with the keys and known hosts of the runs. Nothing is changed on the server.
  - Every part is held to its digest before it gets its name; what is here already is not brought again.
options:
  address: {description: The image server's address.}
  user: {description: "Who logs in there, and may become root; empty: the same as here."}
  port: {description: Port of its SSH server.}
  order: {description: The order's id.}
  cells: {description: SHA-256 of the table, as the PC told it over the server's pinned line.}
  reserve_mib: {description: What stays free of the control node's disk.}
"""


class ActionModule(ActionBase):
    """Connects to the image server by itself, and not to the PC."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, bytes}`, or a failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        settings, inputs = Settings.from_environment(os.environ), self._task.args
        host, order = str((task_vars or {})["inventory_hostname"]), str(inputs["order"])
        source = OverSsh(settings, str(inputs["address"]), str(inputs["user"]), int(inputs["port"]), order)

        def show(done: int, total: int) -> None:
            tell(host, "fetching", done, total)

        try:
            came = fetch(
                source, incoming(settings, order), str(inputs["cells"]), int(inputs["reserve_mib"]) * MIB, show
            )
        except (LabError, OSError) as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, "changed": came > 0, "bytes": came}
