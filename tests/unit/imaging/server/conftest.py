"""The daemon on a port of its own, with clocks that stand still, and a control node that signs."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lab_tool import signature
from lab_tool.imaging.format.order import NAMESPACE, Order, OrderedSystem, Personal
from lab_tool.imaging.server.app import make_app
from lab_tool.imaging.server.cast import Cast, CastSettings
from lab_tool.imaging.server.office import Clocks, Office
from lab_tool.imaging.server.settings import Client, ServerSettings

IMAGE, OTHER_IMAGE = hashlib.sha256(b"an image").hexdigest(), hashlib.sha256(b"another").hexdigest()
DEPLOY = hashlib.sha256(b"a deploy system").hexdigest()
NOON = 1_795_608_000.0
PCS = 30
Answer = tuple[int, Any]


def mac(seat: int) -> str:
    """The MAC of the PC on a seat."""
    return f"02:00:00:00:00:{seat:02x}"


@dataclass
class Moment:
    """A clock that goes when it is told to."""

    now: float = NOON

    def __call__(self) -> float:
        """What it shows."""
        return self.now


@dataclass
class Daemon:
    """The daemon, and the people around it."""

    settings: ServerSettings
    key: Path
    clock: Moment = field(default_factory=Moment)
    woken: list[str] = field(default_factory=list)
    cast: CastSettings = field(default_factory=lambda: CastSettings(streams=0))
    port: int = 0
    stop: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to answer, from what lies on the disk."""
        cast = Cast(self.cast, launch=_no_launch, clock=self.clock)
        office = Office(self.settings, Clocks(self.clock, self.clock), cast, self.woken.append)
        loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

        async def serve() -> None:
            runner = web.AppRunner(make_app(office), lingering_time=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            ready.set()
            await end.wait()
            await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert ready.wait(10)

        def stop() -> None:
            loop.call_soon_threadsafe(end.set)
            thread.join(10)
            loop.close()

        self.stop = stop

    def restart(self, **changed: Any) -> None:
        """End it, and begin again from the disk alone, with other settings where some are named."""
        self.stop()
        self.settings = replace(self.settings, **changed)
        self.start()

    def ask(self, method: str, path: str, body: object = None, peer: str = "198.51.100.250") -> Answer:
        """Status and JSON, or text where the answer is none; as nginx hands on what `peer` asks."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request(method, path, body=data, headers={"X-Real-IP": peer})
            answer = link.getresponse()
            said = answer.read().decode()
            return answer.status, json.loads(said) if "json" in answer.headers["Content-Type"] else said
        finally:
            link.close()

    def sign(self, text: str) -> str:
        """The control node's signature."""
        return signature.sign(text.encode(), self.key, NAMESPACE)

    def order(self, seat: int = 1, **changed: Any) -> Order:
        """An order for the PC on a seat."""
        personal = Personal(f"a301-{seat:02d}", "198.51.100.9", 24, "", (), "lab-admin", (), "Asia/Shanghai")
        order = Order(
            id=f"o-{seat:016x}",
            host=f"a301-{seat:02d}",
            room="a301",
            mac=mac(seat),
            action="image",
            issued="2026-11-25T08:00:00.000000Z",
            run="run-1",
            change="change-1",
            deploy=DEPLOY,
            systems=(OrderedSystem(IMAGE, "debian-lab", 3, True),),
            personal=personal,
        )
        return replace(order, **changed)

    def give(self, order: Order) -> Answer:
        """Send an order."""
        text = order.dump().decode()
        return self.ask("POST", "/api/orders", {"order": text, "signature": self.sign(text)})

    def command(self, kind: str, *orders: str) -> Answer:
        """Send a command."""
        text = json.dumps({"v": 1, "type": kind, "orders": orders, "at": "2026-11-25T08:00:00.000000Z"})
        return self.ask("POST", "/api/commands", {"command": text, "signature": self.sign(text)})

    def token(self, seat: int = 1) -> str:
        """What the boot script of a PC says."""
        status, text = self.ask("GET", f"/boot/{mac(seat).replace(':', '-')}.ipxe")
        assert status == 200, text
        return str(next(part.split("=")[1] for part in text.split() if part.startswith("lab.token=")))

    def claim(self, seat: int = 1, token: str = "", peer: str = "198.51.100.250", **changed: Any) -> Answer:
        """Claim the order of the PC on a seat."""
        body = {"mac": mac(seat), "token": token or self.token(seat), "deploy": DEPLOY, "facts": {"memory": 4}}
        return self.ask("POST", "/api/claim", body | changed, peer)

    def session(self, seat: int = 1) -> str:
        """The session of a PC that claimed the order that was given for it."""
        status, body = self.claim(seat)
        assert status == 200, body
        return str(body["session"])

    def report(self, session: str, state: str, **more: Any) -> Answer:
        """What a PC says."""
        body = {"session": session, "state": state, "done": 1, "total": 2, "bytes": 1, "message": ""}
        return self.ask("POST", "/api/report", body | more)

    def next(self, session: str, image: str = IMAGE, **more: Any) -> Answer:
        """Whose turn it is."""
        return self.ask("POST", "/api/next", {"session": session, "image": image, **more})

    def standing(self, seat: int = 1) -> Any:
        """How the PC's order stands."""
        return self.ask("GET", f"/api/orders/o-{seat:016x}")[1]

    def kinds(self) -> list[str]:
        """The kinds of all events."""
        return [event["kind"] for event in self.ask("GET", "/api/events?since=0")[1]["events"]]

    def raw(self, text: bytes, patience: float = 30.0) -> bytes:
        """Send these bytes and nothing more; the head of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as link:
            link.sendall(text)
            said = b""
            while b"\r\n\r\n" not in said:
                said += link.recv(65536)
            return said


def _no_launch(*_: object) -> Any:
    raise AssertionError("no stream is wanted here")


@pytest.fixture(scope="session")
def control_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The control node's key, and somebody else's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("control", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    return folder / "control", folder / "stranger"


@pytest.fixture
def settings(tmp_path: Path, control_keys: tuple[Path, Path]) -> ServerSettings:
    """A server of thirty PCs that holds one image and one deploy system."""
    served = tmp_path / "served"
    for path in (
        f"images/{IMAGE}/manifest.json",
        f"images/{OTHER_IMAGE}/manifest.json",
        f"deploy/{DEPLOY}/deploy.json",
    ):
        (served / path).parent.mkdir(parents=True)
        (served / path).write_text("{}")
    return ServerSettings(
        address="198.51.100.1",
        pin="a" * 64,
        state=tmp_path / "state",
        served=served,
        dhcp_log=tmp_path / "dhcp.log",
        slots=4,
        gather=60,
        streams=0,
        stream_rate=0,
        stream_hops=1,
        wake_interval=0,
        reserve=0,
        arguments="console=ttyS0",
        networks=("198.51.100.0/255.255.255.0",),
        signers=(signature.public_line(control_keys[0]),),
        clients=tuple(
            Client(f"a301-{seat:02d}", mac(seat), f"198.51.100.{seat + 100}", "a301") for seat in range(1, PCS + 1)
        ),
    )


@pytest.fixture
def daemon(settings: ServerSettings, control_keys: tuple[Path, Path]) -> Iterator[Daemon]:
    """A daemon that runs."""
    daemon = Daemon(settings, control_keys[0])
    daemon.start()
    yield daemon
    daemon.stop()
