"""What this PC may become: an order that the school's control node signed, for this PC and this deploy system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import RefusedOrderError
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Manifest
from lab_tool.imaging.format.order import NAMESPACE, Order
from lab_tool.school.model import Key
from lab_tool.signature import is_public_line, signer_of

# The keys have no days of validity here, so that a PC whose clock was lost takes orders as well.
_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_ASK = "Ask whoever looks after the image server: somebody may be tampering with it or with this network"


def trusted_order(situation: Situation, text: str, signature: str) -> Order:
    """The order, once it is certain that it is ours to carry out. Raises `RefusedOrderError`."""
    keys = [(line, Key(line, None, None)) for line in situation.trusted("signers") if is_public_line(line)]
    if not keys:
        raise RefusedOrderError(
            "this deploy system trusts nobody's orders", advice="Build it again on the control node"
        )
    message = text.encode("utf-8", "surrogateescape")
    if signer_of(message, signature, NAMESPACE, keys, _ANY_DAY) is None:
        raise RefusedOrderError("the order is forged: none of the school's control nodes signed it", advice=_ASK)
    try:
        order = Order.parse(message)
    except FormatError as error:
        raise RefusedOrderError(f"the order can't be read: {error}", advice="Build the deploy system again") from error
    if order.mac not in own_macs(situation):
        raise RefusedOrderError(
            f"the order is for {order.host} ({order.mac}), which is another PC than this one", advice=_ASK
        )
    if order.deploy != situation.deploy:
        raise RefusedOrderError(
            f"the order is for another version of the deploy system ({order.deploy[:12]}, this is "
            f"{situation.deploy[:12]})",
            advice="Start the PC from the network again; a boot stick must be made anew",
        )
    return order


def trusted_manifests(order: Order, get: Callable[[str], bytes]) -> Sequence[tuple[str, Manifest]]:
    """Id and manifest of each system; `get` brings the bytes for an id. Raises `RefusedOrderError`."""
    manifests = []
    for system in order.systems:
        try:
            manifest = Manifest.parse(get(system.image), system.image)
        except FormatError as error:
            raise RefusedOrderError(
                f"the image {system.name}/{system.version} is not the one that the order names: {error}", advice=_ASK
            ) from error
        if (manifest.name, manifest.version) != (system.name, system.version):
            raise RefusedOrderError(f"the order calls {manifest.name}/{manifest.version} another name", advice=_ASK)
        manifests.append((system.image, manifest))
    return manifests


def own_macs(situation: Situation) -> frozenset[str]:
    """The addresses of this PC's network cards."""
    cards = (situation.base / "sys/class/net").glob("*/address")
    return frozenset(_first_line(card).lower() for card in cards)


def _first_line(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""
