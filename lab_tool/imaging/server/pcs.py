"""What PCs ask: how to start, what to become, whose turn it is; and what they report."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.format.fields import DIGEST
from lab_tool.imaging.format.order import MAC
from lab_tool.imaging.server import boot, capture
from lab_tool.imaging.server.answers import answer, fields, loose, read, refuse, script
from lab_tool.imaging.server.book import LIVE, Record
from lab_tool.imaging.server.cast import Answer, Fetch, Wait
from lab_tool.imaging.server.office import Office
from lab_tool.imaging.server.tokens import TokenError

STATES = (
    "booting", "claimed", "queued", "checking", "receiving", "writing", "verifying", "personalising", "rebooting",
    "imaged", "failed",
)  # fmt: skip
# From here on a PC fetches nothing.
_DONE_FETCHING = ("verifying", "personalising", "rebooting", "imaged", "failed")
_SESSION = re.compile(r"[0-9a-f]{64}")
# Of an image, in thousandths.
_ALL = 1000
# Seconds after which a PC in the queue asks again.
ASK_AGAIN = 5


class ForPcs:
    """The answers to PCs. Every one of them may come from somebody who only says to be one."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[web.RouteDef]:
        """Where they are asked."""
        return [
            web.get("/boot.ipxe", self.first),
            web.get("/boot/{name}.ipxe", self.own),
            web.get("/boot/{name}.args", self.arguments),
            web.post("/api/claim", self.claim),
            web.post("/api/report", self.report),
            web.post("/api/next", self.next),
            web.put("/api/capture/{session}/{name}", self.capture),
        ]

    async def first(self, request: web.Request) -> web.Response:
        """The script that all get."""
        return script(boot.first(self._office.settings))

    async def own(self, request: web.Request) -> web.Response:
        """The script of one PC, with a new token where there is an order for it."""
        record, line = self._order_for(request)
        if record is None:
            return script(boot.local(self._office.settings))
        return script(boot.deploy(self._office.settings, self._office.book.order(record.id).deploy, line))

    async def arguments(self, request: web.Request) -> web.Response:
        """The same for a PC that started from a stick: the command line alone, empty where there is no order."""
        _, line = self._order_for(request)
        return script(f"{line}\n")

    def _order_for(self, request: web.Request) -> tuple[Record | None, str]:
        mac, peer = boot.mac_of(request.match_info["name"]), _peer(request)
        if not mac or self._office.client(mac) is None:
            self._office.tell("unknown_mac", mac or peer, address=peer, asked="boot script")
            refuse(404, "this PC is not known here")
        stranger = self._office.stranger_at(mac, peer)
        if stranger:
            self._office.tell("wrong_address", mac, address=peer, owner=stranger)
            refuse(404, "this address is another PC's")
        live = self._office.book.live(mac)
        if not live:
            return None, ""
        token = self._office.tokens.issue(mac, live[-1].id)
        return live[-1], boot.arguments(self._office.settings, mac, token)

    async def claim(self, request: web.Request) -> web.Response:
        """Give a PC its order and a session, for a token that is then used up."""
        body = await read(request)
        facts = loose(body, "facts")
        given = fields(body)
        mac, token = given.text("mac", MAC), given.text("token", longest=200)
        deploy = given.text("deploy", longest=64)
        given.end()
        peer, office = _peer(request), self._office
        if office.client(mac) is None:
            self._turn_away("unknown_mac", mac, peer, "this PC is not known here")
        stranger = office.stranger_at(mac, peer)
        if stranger:
            self._turn_away("wrong_address", mac, peer, f"this address is {stranger}'s")
        live = office.book.live(mac)
        if not live:
            self._turn_away("token_refused", mac, peer, "there is no order for this PC")
        record = live[-1]
        try:
            last = office.tokens.check(token, mac, record.id)
        except TokenError as error:
            self._turn_away("token_refused", mac, peer, str(error))
        order = office.book.order(record.id)
        if deploy != order.deploy:
            self._turn_away("deploy_refused", mac, peer, f"the deploy system is {deploy[:12]}, not {order.deploy[:12]}")
        if record.has_used(token):
            self._turn_away("token_refused", mac, peer, "the token was used before")
        if record.session:
            office.slots.free(record.session)
            office.tell("claimed_again", mac, address=peer, order=record.id, after=f"{office.book.age(record)} s")
        session = office.book.claim(record, token, last, facts)
        return answer({"order": record.text, "signature": record.signature, "session": session})

    def _turn_away(self, kind: str, mac: str, peer: str, why: str) -> None:
        self._office.tell(kind, mac, address=peer, why=why)
        refuse(403, why)

    async def report(self, request: web.Request) -> web.Response:
        """Note what a PC says; tell it to stop when its order was withdrawn."""
        body = await read(request)
        result = loose(body, "result")
        given = fields(body)
        record = self._of(given.text("session", _SESSION), request)
        report: dict[str, Any] = {
            "state": given.choice("state", STATES),
            "done": given.number("done"),
            "total": given.number("total"),
            "bytes": given.number("bytes"),
            "message": given.text("message", longest=2000),
        }
        given.end()
        office = self._office
        # Who only says that it is there, and gets nothing, holds up others.
        if any(report[name] != record.report.get(name) for name in ("state", "done", "bytes")):
            office.slots.heard(record.session)
        if record.state not in LIVE:
            # A report that was sent twice, or of a PC that has yet to hear that it is to stop.
            office.slots.free(record.session)
            return answer({"ok": record.state != "withdrawn", "stop": record.state == "withdrawn"})
        if report["state"] in _DONE_FETCHING:
            office.slots.free(record.session)
            record = office.book.note_fetching(record, False)
        office.book.report(record, report, result)
        return answer({"ok": True, "stop": False})

    async def next(self, request: web.Request) -> web.Response:
        """Whether a PC is to join a stream, to fetch, or to wait for its turn."""
        # Deploy systems on sticks that were made before do not say what they lack.
        given = fields({"lacks": _ALL, **await read(request)})
        session, image = given.text("session", _SESSION), given.text("image", DIGEST)
        lacks = given.number("lacks", _ALL)
        given.end()
        record, office = self._of(session, request), self._office
        if record.state not in LIVE:
            refuse(409, f"the order is {record.state}")
        order = office.book.order(record.id)
        if image not in [system.image for system in order.systems]:
            refuse(403, "the order names no such image")
        if not office.is_served(f"images/{image}/manifest.json"):
            refuse(404, "this server does not hold the image")
        said = self._stream(order.room, image, session, lacks)
        if isinstance(said, Join):
            return answer({"do": "join", **said.answer()})
        if isinstance(said, Wait):
            office.slots.heard(record.session)
            return answer({"do": "wait", "position": 0, "seconds": said.seconds})
        position = office.slots.ask(record.session)
        if position:
            return answer({"do": "wait", "position": position, "seconds": ASK_AGAIN})
        office.book.note_fetching(record, True)
        return answer({"do": "fetch"})

    def _stream(self, room: str, image: str, session: str, lacks: int) -> Answer:
        """What multicast says of it."""
        orders = [self._office.book.order(record.id) for record in self._office.book.live()]
        wanting = [
            order for order in orders if order.room == room and image in [system.image for system in order.systems]
        ]
        try:
            return self._office.cast.ask(room, image, session, len(wanting), lacks / _ALL)
        except OSError as error:
            # Slower, but no reason to leave a room without its image.
            self._office.tell("no_stream", room, why=str(error))
            return Fetch()

    async def capture(self, request: web.Request) -> web.Response:
        """Take in a part of a captured system."""
        record, name, office = (
            self._of(request.match_info["session"], request),
            request.match_info["name"],
            self._office,
        )
        if record.state not in LIVE or office.book.order(record.id).action != "capture":
            refuse(403, "there is nothing to be captured from this PC")
        if not capture.NAME.fullmatch(name):
            office.tell("capture_refused", record.id, address=_peer(request), name=name)
            refuse(400, "this is no name of a part")
        settings, size = office.settings, request.content_length
        try:
            done, digest = await capture.receive(
                request.content, settings.incoming / record.id, name, -1 if size is None else size, settings.reserve
            )
        except capture.FullError:
            office.tell("disk_full", record.id, name=name)
            refuse(507, "the image server has no room for this")
        except TimeoutError:
            refuse(408, "the body stopped coming")
        except ConnectionError as error:
            refuse(400, str(error))
        return answer({"ok": True, "size": done, "sha256": digest})

    def _of(self, session: str, request: web.Request) -> Record:
        record = self._office.book.of_session(session)
        if record is None:
            self._office.tell("session_refused", _peer(request))
            refuse(403, "this session is not known, or another one took its place")
        return record


def _peer(request: web.Request) -> str:
    """Who asks: nginx says it, and only nginx reaches this server."""
    return request.headers.get("X-Real-IP") or request.remote or ""
