"""The image server as the control node sees it. Its certificate is the one that was read back when it was set up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab_tool.canonical import dump
from lab_tool.clock import utc_text
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders import control_key
from lab_tool.imaging.pinned import Pinned
from lab_tool.log.query import Query, find
from lab_tool.settings import Settings

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an order stands: `state` is open, claimed, imaged, failed, withdrawn, expired, or empty where it is unknown.

    `report` is what the PC said last, with its `age` in seconds; `result` what it read back in the end.
    """

    state: str
    report: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageServer:
    """One image server. Every method raises `LabError` where it doesn't answer, or refuses."""

    settings: Settings
    name: str
    link: Pinned

    @classmethod
    def known(cls, settings: Settings, name: str, address: str) -> ImageServer:
        """The server of that name, by the certificate that the log holds. Raises `UsageError` where it holds none."""
        pin = ""
        for entry in find(settings.log, Query(kinds=("evidence.read",), host=name)):
            evidence = entry.body["evidence"]
            if evidence["verb"] == "image_server" and evidence["outcome"] == "ok" and "check" not in entry.body:
                pin = str(evidence["values"].get("pin", "")) or pin
        if not pin:
            raise UsageError(
                f"{name} was never set up as an image server",
                next_command=f"lab change request image_server --host {name} --why ...",
            )
        return cls(settings, name, Pinned(f"https://{address}:443", pin))

    def give(self, order: Order) -> Standing:
        """Send an order; one that is there already stays as it is. How it stands afterwards."""
        text = order.dump()
        self._post("/api/orders", {"order": text.decode(), "signature": control_key.sign(self.settings, text)})
        return self.standing(order.id)

    def standing(self, order: str) -> Standing:
        """How an order stands."""
        status, answer = self._call("GET", f"/api/orders/{order}")
        if status == 404:
            return Standing("")
        self._accept(status, answer)
        return Standing(str(answer.get("state", "")), answer.get("report") or {}, answer.get("result") or {})

    def command(self, kind: str, orders: Sequence[str], clock: Clock) -> None:
        """`wake` the PCs of these orders, one after the other, or `withdraw` the orders."""
        text = dump({"v": 1, "type": kind, "orders": list(orders), "at": utc_text(clock())})
        self._post("/api/commands", {"command": text.decode(), "signature": control_key.sign(self.settings, text)})

    def take_back(self, order: str, clock: Clock) -> str:
        """Withdraw an order that is given up; where the server does not take that, words that say so."""
        try:
            self.command("withdraw", [order], clock)
        except LabError as error:
            return f"; its order {order} could not be taken back and holds until its end: {error}"
        return ""

    def events(self, since: int) -> list[dict[str, Any]]:
        """What the server refused or could not do since event number `since`: unknown PCs, used tokens, a full disk."""
        status, answer = self._call("GET", f"/api/events?since={since}")
        self._accept(status, answer)
        last = answer.get("last")
        if since and isinstance(last, int) and last < since:
            # A server that was set up anew counts from the beginning.
            return self.events(0)
        listed = answer.get("events")
        return [event for event in listed if isinstance(event, dict)] if isinstance(listed, list) else []

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._accept(*self._call("POST", path, body))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        try:
            return self.link.call(method, path, body)
        except OSError as error:
            raise LabError(f"the image server does not answer: {error}", where=self.name) from error

    def _accept(self, status: int, answer: dict[str, Any]) -> None:
        if status != 200:
            said = answer.get("error") or json.dumps(answer)[:200]
            raise RefusedError(f"the image server refused (HTTP {status}): {said}", where=self.name)
