"""Action plugin `lab_image_order`: make the signed order of a PC and give it to the image server."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible.plugins.action import ActionBase

from lab_tool import signature
from lab_tool.clock import utc_now, utc_text
from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders.images import load_images
from lab_tool.imaging.orders.make import Occasion, make_order
from lab_tool.imaging.orders.server import ImageServer, Standing
from lab_tool.imaging.orders.wanted import Wanted
from lab_tool.imaging.store.deploy_systems import require_built
from lab_tool.log.query import Query, find
from lab_tool.recording.live import Live
from lab_tool.settings import Settings

DOCUMENTATION = """
name: lab_image_order
short_description: Give the image server the signed order that says what a PC is to become
description:
  - Nothing happens to the PC by it, until it starts from the network.
  - A run that is resumed finds the order that the run before it gave, and gives a new one only where that one failed.
options:
  server: {description: Name of the image server in the inventory.}
  address: {description: Its address.}
  action: {description: "C(image), or C(capture) to have its disk read; then no images are named."}
  systems: {description: Names of images; the first one starts.}
  versions: {description: Which image id is meant by each name.}
  deploy: {description: Id of the deploy system.}
  prefix: {description: Length of the network's prefix.}
  gateway: {description: The way out, or empty.}
  dns: {description: Name servers.}
  disk: {description: Which disk, or empty where there is one only.}
  data_mib: {description: Least size of the partition whose content survives; 0 for none.}
  cache_mib: {description: Size of the partition that keeps a copy of the images; 0 for none.}
  until: {description: End of the window, or empty.}
  timeout: {description: Seconds for which the order holds.}
"""
# Times that an order is made anew in one run and those that resume it.
MOST_ATTEMPTS = 20


class ActionModule(ActionBase):
    """Makes the order on the control node; connects to the image server, and not to the PC."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """`{changed, order, state, images, pc}`, or a failure that says what is missing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self._order(task_vars or {})}
        except (LabError, OSError, OverflowError, ValueError) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _order(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        settings, inputs = Settings.from_environment(os.environ), self._task.args
        host = str(task_vars["inventory_hostname"])
        wanted = Wanted.read(host, task_vars, inputs)
        images = load_images(settings, wanted.systems, wanted.versions, canary=bool(task_vars.get("lab_canary")))
        require_built(settings, wanted.deploy)
        told = {
            "images": [f"{name}/{manifest.version} {manifest.id}" for name, manifest in images.items()],
            "image": images[wanted.systems[0]].id if images else "",
            "pc": wanted.address,
        }
        if self._task.check_mode:
            would = f"would become {told['images'][0]}" if images else "would be captured"
            return {"changed": True, "order": "", "state": "", "msg": would, **told}
        server = ImageServer.known(settings, str(inputs["server"]), str(inputs["address"]))
        keys = (signature.public_line(settings.keys / "ssh"),)
        run, change = _beginning(settings)
        now = utc_now()
        occasion = Occasion(run, change, utc_text(now), _end(now, str(inputs["until"]), int(inputs["timeout"])))
        attempts = [make_order(wanted, images, keys, occasion.again(number)) for number in range(MOST_ATTEMPTS)]
        order, standing = _give(server, attempts)
        return {"changed": standing.state == "open", "order": order.id, "state": standing.state, **told}


def _give(server: ImageServer, orders: list[Order]) -> tuple[Order, Standing]:
    """The first of the orders that has not come to nothing yet: found on the server, or given to it."""
    for order in orders:
        standing = server.standing(order.id)
        if not standing.state:
            return order, server.give(order)
        if standing.state in ("open", "claimed", "imaged"):
            return order, standing
    raise UsageError(f"{MOST_ATTEMPTS} orders came to nothing; begin a run of its own")


def _beginning(settings: Settings) -> tuple[str, str]:
    """The first of the runs that resume each other, and the change, which a run by hand has none of."""
    run, change = Live.run, ""
    while run:
        started = find(settings.log, Query(run=run, kinds=("run.started",)))[0]
        change = change or started.subject.change
        earlier = str(started.body.get("intent", {}).get("resumes", ""))
        if not earlier:
            return run, change
        run = earlier
    raise UsageError("an order belongs to a run of lab", next_command="lab run image --help")


def _end(now: datetime, window: str, timeout: int) -> str:
    """Until when the order holds: it must not wait for a PC that somebody switches on in next week's lesson."""
    end = now + timedelta(seconds=timeout)
    if window:
        closes = datetime.strptime(window, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if closes <= now:
            raise UsageError("the window has ended: nothing is begun any more")
        end = min(end, closes)
    return utc_text(end)
