"""What the server refused or could not do, for the control node's log. Nobody can fill the disk with it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_tool.clock import utc_text
from lab_tool.imaging.server.files import write_whole

KEPT = 10_000
# The same thing about the same PC within this time is one event.
_SAME_SECONDS = 60.0
_A_MINUTE = 100


class Events:
    """Numbered from 1; the newest are kept. `now` is seconds since 1970."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._kept: deque[dict[str, Any]] = deque(self._read(), maxlen=KEPT)
        self._last = self._kept[-1]["n"] if self._kept else 0
        self._lines = len(self._kept)
        self._recent: dict[tuple[str, str], float] = {}
        self._left_out = 0
        # Also cuts off half a line.
        self._rewrite()

    def add(self, kind: str, about: str, **more: str) -> None:
        """Note an event `about` a MAC, an order or an address. Raises `OSError` when it can't be written."""
        now = self._now()
        self._recent = {key: at for key, at in self._recent.items() if 0 <= now - at < _SAME_SECONDS}
        if (kind, about) in self._recent:
            return
        if len(self._recent) >= _A_MINUTE:
            self._left_out += 1
            return
        self._recent[kind, about] = now
        event: dict[str, Any] = {"n": self._last + 1, "at": utc_text(datetime.fromtimestamp(now, UTC)), "kind": kind}
        event |= {"about": about, **{name: text[:500] for name, text in more.items()}}
        if self._left_out:
            event["left_out"] = self._left_out
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(_line(event))
            file.flush()
            os.fsync(file.fileno())
        self._last, self._left_out = event["n"], 0
        self._kept.append(event)
        self._lines += 1
        if self._lines > 2 * KEPT:
            self._rewrite()

    def since(self, number: int, most: int = 500) -> list[dict[str, Any]]:
        """The first `most` kept events after that number."""
        return [event for event in self._kept if event["n"] > number][:most]

    @property
    def last(self) -> int:
        """The newest event's number; 0 before the first."""
        return int(self._last)

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("n"), int):
                found.append(event)
        return found

    def _rewrite(self) -> None:
        write_whole(self._path, b"".join(_line(event) for event in self._kept))
        self._lines = len(self._kept)


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=True).encode("ascii") + b"\n"
