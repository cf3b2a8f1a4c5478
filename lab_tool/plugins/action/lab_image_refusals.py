"""Action plugin `lab_image_refusals`: take over into the log what the image server refused or could not do."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from lab_tool.errors import LabError
from lab_tool.imaging.orders.refusals import record_refusals
from lab_tool.imaging.orders.server import ImageServer
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.recording.live import Live
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_refusals
short_description: Take over into the log what the image server refused or could not do
description:
  - PCs that are not in the inventory, tokens that were used before, forged orders, a full disk; each one entry.
options:
  server: {description: Name of the image server in the inventory.}
  address: {description: Its address.}
"""


class ActionModule(ActionBase):
    """Asks the server; does not connect to the PC."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed: false, recorded}`, or a failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        settings, inputs = Settings.from_environment(os.environ), self._task.args
        try:
            server = ImageServer.known(settings, str(inputs["server"]), str(inputs["address"]))
            actor = find(settings.log, Query(run=Live.run, kinds=("run.started",)))[0].actor
            count = record_refusals(settings, LogStore(settings.log), server, actor, Live.run)
        except LabError as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, "changed": False, "recorded": count}
