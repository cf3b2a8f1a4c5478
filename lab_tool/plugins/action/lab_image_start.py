"""Action plugin `lab_image_start`: bring a PC to start from the network, whether it is on or off."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from lab_tool.clock import utc_now
from lab_tool.errors import LabError
from lab_tool.imaging.orders.server import ImageServer
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_start
short_description: Restart a PC that is on, wake one that is off
description:
  - A PC that is on is asked by the module C(lab_image_restart), which leaves one alone at which somebody works.
  - One that does not answer is woken by the image server, one after the other.
  - An order of a PC that is left alone is taken back, or its next start would carry it out.
options:
  server: {description: Name of the image server in the inventory.}
  address: {description: Its address.}
  order: {description: The order's id.}
  logged_in: {description: C(defer) or C(ignore).}
  mac: {description: The PC's card.}
"""


class ActionModule(ActionBase):
    """Asks the PC; where it does not answer, the server."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, how}`, where `how` is restarted, woken or in_use; or a failure."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        settings, inputs = Settings.from_environment(os.environ), self._task.args
        order = str(inputs["order"])
        try:
            server = ImageServer.known(settings, str(inputs["server"]), str(inputs["address"]))
            asked = self._restart({"logged_in": inputs["logged_in"], "mac": inputs["mac"]}, task_vars or {})
            if asked.get("unreachable"):
                return {**result, **self._wake(server, order)}
            if asked.get("failed"):
                why = str(asked.get("msg", "it could not be restarted"))
                return {**result, "failed": True, "msg": why + server.take_back(order, utc_now)}
            if asked.get("in_use"):
                server.command("withdraw", [order], utc_now)
            how = "in_use" if asked.get("in_use") else "restarted"
            return {**result, "changed": how == "restarted", "how": how}
        except LabError as error:
            return {**result, "failed": True, "msg": str(error)}

    def _wake(self, server: ImageServer, order: str) -> dict[str, Any]:
        """Nobody follows an order whose PC could not be woken, so it must not wait for whoever switches the PC on."""
        try:
            server.command("wake", [order], utc_now)
        except LabError as error:
            return {"failed": True, "msg": f"not woken: {error}{server.take_back(order, utc_now)}"}
        return {"changed": True, "how": "woken"}

    def _restart(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        try:
            done: dict[str, Any] = self._execute_module(
                module_name="lab_image_restart", module_args=arguments, task_vars=task_vars
            )
        except AnsibleConnectionFailure:
            return {"unreachable": True}
        return done
