"""Makes the order of one PC, from what is wanted of it and the images in the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import Order, OrderedSystem, Personal
from lab_tool.imaging.orders.policies import windows_policies
from lab_tool.imaging.orders.unattend import answer_file
from lab_tool.imaging.orders.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why an order is given: the first run of those that resume each other, its change, now, and until when it holds.

    Times are texts in UTC. `attempt` counts anew what failed before.
    """

    run: str
    change: str
    issued: str
    until: str
    attempt: int = 0

    def again(self, attempt: int) -> Occasion:
        """The same occasion, for the attempt of that number."""
        return replace(self, attempt=attempt)


def make_order(wanted: Wanted, images: dict[str, Manifest], keys: tuple[str, ...], occasion: Occasion) -> Order:
    """The order; `images` are the manifests by the names wanted, `keys` the public lines that may log in on the PC.

    Its id comes from what is wanted and the run, so that a run that is resumed finds the order it gave.
    """
    systems = tuple(
        OrderedSystem(image=images[name].id, name=name, version=images[name].version, default=name == wanted.systems[0])
        for name in wanted.systems
    )
    windows = any(images[name].family == "windows" for name in wanted.systems)
    personal = Personal(
        hostname=wanted.host,
        address=wanted.address,
        prefix=wanted.prefix,
        gateway=wanted.gateway,
        dns=wanted.dns,
        account=wanted.account,
        keys=keys,
        time_zone=wanted.time_zone,
    )
    if windows:
        personal = replace(personal, unattend=answer_file(personal, wanted.mac), policies=windows_policies())
    order = Order(
        id="o-" + "0" * 16,
        host=wanted.host,
        room=wanted.room,
        mac=wanted.mac,
        action=wanted.action,
        issued="",
        run=occasion.run,
        change=occasion.change,
        deploy=wanted.deploy,
        systems=systems,
        personal=personal,
        disk=wanted.disk,
        data=wanted.data,
        cache=wanted.cache,
    )
    named = hashlib.sha256(order.dump() + str(occasion.attempt).encode()).hexdigest()[:16]
    return replace(order, id=f"o-{named}", issued=occasion.issued, notes={"until": occasion.until})
