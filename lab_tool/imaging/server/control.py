"""What the control node asks. What changes anything is signed by it; what only tells is open to the lab's network."""

from __future__ import annotations

import asyncio

from aiohttp import web

from lab_tool.imaging.format.fields import FormatError, read_json
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.server import capture
from lab_tool.imaging.server.answers import LONGEST, answer, fields, read, refuse
from lab_tool.imaging.server.book import LIVE
from lab_tool.imaging.server.office import Office

_LONGEST_SIGNATURE = 10_000


class ForControl:
    """The answers to the control node."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked."""
        return [
            web.post("/api/orders", self.give),
            web.post("/api/commands", self.command),
            web.get("/api/orders/{order}", self.standing),
            web.get("/api/events", self.events),
            web.get("/api/status", self.status),
        ]

    async def give(self, request: web.Request) -> web.Response:
        """Take in an order."""
        text, signature = await self._signed(request, "order")
        order, office = Order.parse(text.encode()), self._office
        client = office.client(order.mac)
        if client is None or client.name != order.host:
            refuse(409, f"{order.host} with the MAC {order.mac} is no PC of this server: run image_server again")
        missing = [f"deploy/{order.deploy}/deploy.json"]
        missing += [f"images/{system.image}/manifest.json" for system in order.systems]
        missing = [path for path in missing if not office.is_served(path)]
        if missing and office.book.get(order.id) is None:
            refuse(409, f"this server does not hold {missing[0]}: run image_server again")
        record = office.book.add(order, text, signature)
        return answer({"id": record.id, "state": office.book.state(record)})

    async def command(self, request: web.Request) -> web.Response:
        """Withdraw orders, or switch on the PCs of orders."""
        text, _ = await self._signed(request, "command")
        given = read_json(text.encode(), "the command")
        if given.number("v") != 1:
            raise FormatError("a command of a version that is not known here")
        kind = given.choice("type", ("withdraw", "wake"))
        numbers = given.texts("orders", longest=64)
        given.text("at")
        given.end()
        office, states = self._office, {}
        for number in numbers:
            record = office.book.withdraw(number) if kind == "withdraw" else office.book.get(number)
            states[number] = office.book.state(record) if record else "unknown"
            if kind == "withdraw" and record is not None and record.session:
                office.slots.free(record.session)
        if kind == "wake":
            office.wake.add(office.book.order(number).mac for number in numbers if states[number] in LIVE)
        return answer({"orders": states})

    async def standing(self, request: web.Request) -> web.Response:
        """How an order stands, and what the PC said last."""
        book = self._office.book
        record = book.get(request.match_info["order"])
        if record is None:
            refuse(404, "there is no such order")
        report = {**record.report, "age": book.age(record)} if record.report else {}
        told = {"why": record.why, "report": report, "result": record.result, "facts": record.facts}
        return answer({"id": record.id, "state": book.state(record), **told})

    async def events(self, request: web.Request) -> web.Response:
        """What was refused, or could not be done, after event number `since`."""
        since = request.query.get("since", "0")
        if not since.isascii() or not since.isdigit() or len(since) > 18:
            refuse(400, "since is no number")
        return answer({"events": self._office.events.since(int(since)), "last": self._office.events.last})

    async def status(self, request: web.Request) -> web.Response:
        """What this server is doing, in figures."""
        office = self._office
        live = [office.book.state(record) for record in office.book.live()]
        return answer(
            {
                "clients": len(office.settings.clients),
                "orders": {state: live.count(state) for state in LIVE},
                "fetching": len(office.slots.holders()),
                "waiting": office.slots.waiting(),
                "waking": len(office.wake.waiting()),
                "streams": office.cast.streams(),
                "free": capture.room(office.settings.state),
            }
        )

    async def _signed(self, request: web.Request, name: str) -> tuple[str, str]:
        """A text and its signature, which holds."""
        given = fields(await read(request))
        text = given.text(name, longest=LONGEST)
        signature = given.text("signature", longest=_LONGEST_SIGNATURE)
        given.end()
        if not await asyncio.to_thread(self._office.is_signed, text, signature):
            self._office.tell(f"{name}_refused", request.headers.get("X-Real-IP") or request.remote or "")
            refuse(403, f"this {name} is not signed by the control node")
        return text, signature
