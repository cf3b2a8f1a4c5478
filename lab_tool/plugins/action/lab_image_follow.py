"""Action plugin `lab_image_follow`: wait until a PC has carried out its order, and learn its new host keys."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.plugins.action import ActionBase

from lab_tool.clock import utc_now
from lab_tool.errors import LabError
from lab_tool.imaging.orders.follow import GaveUpError, Patience, Step, follow
from lab_tool.imaging.orders.host_keys import replace_host_keys
from lab_tool.imaging.orders.server import ImageServer, Standing
from lab_tool.recording.live import tell
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_follow
short_description: Wait until a PC has carried out its order
description:
  - Shows where the PC is on the way. The PC goes on by itself, whatever becomes of this run.
  - A PC that never asked for its order is unreachable; its order is taken back, and so is that of one that fell silent.
  - The SSH host keys that the PC made and told over the server's pinned line take the place of the old ones.
options:
  server: {description: Name of the image server in the inventory.}
  address: {description: Its address.}
  order: {description: The order's id.}
  action: {description: "What was ordered: C(image), or C(capture), after which the PC has the host keys it had."}
  asks: {description: Seconds until the PC must have asked.}
  silent: {description: Seconds that it may say nothing.}
"""
# What the PC read back, as far as it is kept.
KEPT = ("cells_sha256", "fetched_bytes", "written_bytes", "compared_bytes", "sent_bytes", "seconds")


class ActionModule(ActionBase):
    """Looks at the image server again and again; does not connect to the PC."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, read_back, host_keys}`, or a failure, or unreachable."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        settings, inputs = Settings.from_environment(os.environ), self._task.args
        order, variables = str(inputs["order"]), task_vars or {}
        host = str(variables["inventory_hostname"])
        done = "captured" if inputs.get("action") == "capture" else "imaged"
        try:
            server = ImageServer.known(settings, str(inputs["server"]), str(inputs["address"]))
            standing = self._end(server, order, host)
            if standing.state != "imaged":
                said = str(standing.report.get("message") or "it told no reason")
                why = said if standing.state == "failed" else f"its order was {standing.state or 'lost'} on the server"
                return {**result, "failed": True, "msg": f"not {done}: {why}"}
            keys = [str(line) for line in standing.result.get("host_keys") or ()]
            if done == "imaged":
                replace_host_keys(settings, (host, str(variables["ansible_host"])), keys)
        except GaveUpError as error:
            told = f"{error}{server.take_back(order, utc_now)}"
            return {**result, "failed" if error.asked else "unreachable": True, "msg": told}
        except LabError as error:
            return {**result, "failed": True, "msg": str(error)}
        read_back = {name: _whole(standing.result[name]) for name in KEPT if name in standing.result}
        return {**result, "changed": True, "read_back": read_back, "host_keys": keys}

    def _end(self, server: ImageServer, order: str, host: str) -> Standing:
        inputs = self._task.args
        patience = Patience(asks=float(inputs["asks"]), silent=float(inputs["silent"]))

        def show(step: Step) -> None:
            tell(host, step.state, step.done, step.total, step.rate)

        return follow(server, order, patience, show, time.monotonic, time.sleep)


def _whole(value: Any) -> Any:
    """Seconds come with a fraction, which the log has no place for."""
    return round(value) if isinstance(value, float) else value
