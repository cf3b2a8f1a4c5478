"""Reads what dnsmasq says: of PCs that asked for an address or a boot file and got none, since nobody knows them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger("dhcp")
_MAC = "([0-9a-f]{2}(?::[0-9a-f]{2}){5})"
_IGNORED = re.compile(rf"\b(?:DHCPDISCOVER|PXE)\S*\s(?:\S+ )?{_MAC} (?:\S+ )?(?:proxy-)?ignored\b")
_MOST = 1 << 20
# Bytes beyond which it is emptied unread: somebody asks faster than this is read, and the disk is for images.
_FLOOD = 64 << 20


def ignored(line: str) -> str:
    """The MAC of a PC that dnsmasq did not answer, or nothing."""
    found = _IGNORED.search(line)
    return found[1] if found else ""


class DhcpLog:
    """Follows dnsmasq's file, which dnsmasq appends to, and empties it now and then."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._at = 0

    def look(self) -> None:
        """Read what is new, and hand on each MAC that was ignored. Raises `OSError`."""
        if not self._path.exists():
            return
        size = self._path.stat().st_size
        if size < self._at:
            self._at = 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read(_MOST)
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == _MOST else b"")
        self._at += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            _log.info("%s", line)
            mac = ignored(line)
            if mac:
                self._tell(mac)
        if (self._at >= _MOST and self._at == size) or size > _FLOOD:
            self._path.write_bytes(b"")
            self._at = 0

    async def run(self, between: float = 1.0) -> None:
        """Look until cancelled. A daemon that was away begins at the start: the same event twice does no harm."""
        while True:
            try:
                self.look()
            except OSError as error:
                _log.warning("%s can't be read: %s", self._path, error)
            await asyncio.sleep(between)
