"""What the daemon works with, put together once; what several of its answers need."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab_tool.imaging.format.order import NAMESPACE, SIGNER
from lab_tool.imaging.server import capture
from lab_tool.imaging.server.book import Book
from lab_tool.imaging.server.cast import Cast
from lab_tool.imaging.server.events import Events
from lab_tool.imaging.server.files import write_whole
from lab_tool.imaging.server.settings import Client, ServerSettings
from lab_tool.imaging.server.slots import Slots
from lab_tool.imaging.server.tokens import Tokens
from lab_tool.imaging.server.wake import Wake
from lab_tool.school.model import Key
from lab_tool.signature import signer_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now` is seconds since 1970; `tick` only goes forward."""

    now: Callable[[], float]
    tick: Callable[[], float]


class Office:
    """The daemon's state: whatever must survive is on the disk below `settings.state`. Raises `OSError`."""

    def __init__(self, settings: ServerSettings, clocks: Clocks, cast: Cast, send: Callable[[str], None]) -> None:
        self.settings = settings
        self.now = clocks.now
        for folder in (settings.state, settings.incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        capture.sweep(settings.incoming)
        self.book = Book(settings.state / "orders", clocks.now)
        self.events = Events(settings.state / "events.jsonl", clocks.now)
        self.tokens = Tokens(_secret(settings.state / "secret"), clocks.now)
        self.slots = Slots(settings.slots, clocks.tick)
        self.slots.restore(record.session for record in self.book.live() if record.fetches)
        self.wake = Wake(settings.state / "wake.json", settings.wake_interval, send)
        self.cast = cast
        self._by_mac = {client.mac: client for client in settings.clients}
        self._by_address = {client.address: client for client in settings.clients if client.address}

    def client(self, mac: str) -> Client | None:
        """The PC of that MAC."""
        return self._by_mac.get(mac)

    def stranger_at(self, mac: str, peer: str) -> str:
        """The name of another PC of the inventory whose address this is, though its MAC is not; or nothing."""
        there = self._by_address.get(peer)
        return there.name if there is not None and there.mac != mac else ""

    def is_signed(self, message: str, signature: str) -> bool:
        """Whether the control node signed this. Takes a while: not for the event loop."""
        candidates = [(SIGNER, Key(line, None, None)) for line in self.settings.signers]
        at = datetime.fromtimestamp(self.now(), UTC)
        return signer_of(message.encode(), signature, NAMESPACE, candidates, at) == SIGNER

    def tell(self, kind: str, about: str, **more: str) -> None:
        """Note an event. One that can't be written is told to the journal, and stops nothing."""
        try:
            self.events.add(kind, about, **more)
        except OSError as error:
            _log.error("event %s %s can't be kept: %s", kind, about, error)

    def is_served(self, path: str) -> bool:
        """Whether this file lies on the server for PCs to fetch."""
        return (self.settings.served / path).is_file()


def _secret(path: Path) -> bytes:
    """The key of the tokens, made here the first time."""
    if not path.exists():
        write_whole(path, secrets.token_bytes(32))
    found = path.read_bytes()
    if len(found) < 32:
        raise OSError(f"{path} is damaged: remove it, and PCs that are just starting will start once more")
    return found
