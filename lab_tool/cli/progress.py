"""What is seen while a run goes on: a live table on a terminal, plain lines otherwise. Both on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lab_tool.core.playbook import Event
from lab_tool.log.text import plain
from lab_tool.words import Language, say

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

COLOURS = {"changed": "yellow", "ok": "green", "failed": "red", "unreachable": "red", "running": "cyan", "waiting": ""}
# Hosts shown one by one on a terminal; beyond that, rooms are counted and only what is not yet well is shown.
MOST_HOSTS = 40


class ProgressView:
    """Takes events while it is entered. `rooms` maps host to room."""

    def __init__(self, rooms: Mapping[str, str], language: Language) -> None:
        self._rooms = rooms
        self._language = language
        self._state = dict.fromkeys(rooms, "waiting")
        self._task = ""
        self._task_of: dict[str, str] = {}
        self._step_of: dict[str, str] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self._since: dict[str, float] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self._table, console=Console(stderr=True), refresh_per_second=4, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if event.event == "task":
            self._task = event.task
            self._plain(f"--- {event.task}")
            return
        if event.host not in self._rooms:
            return
        if event.event == "start":
            self._since[event.host] = time.monotonic()
            self._task_of[event.host] = self._task
            self._step_of.pop(event.host, None)
            self._settle(event.host, "running")
            return
        if event.event == "step":
            self._step(event)
            return
        self._settle(event.host, event.event)
        if event.event != "ok":
            self._plain(f"{event.host} {self._word(event.event)}: {self._task}")
            # What a module said may quote a value: shown to a person at a terminal, and nowhere else.
            if event.message and self._live is not None:
                self._live.console.print(f"{event.host}: {plain(event.message)}", style="red", markup=False)

    def _step(self, event: Event) -> None:
        """Where a host is in a long task: drawn as it comes, written at each state and each tenth of it."""
        self._settle(event.host, "running")
        percent = 100 * event.done // event.total if event.total else 0
        parts = [self._word(f"step_{event.state}")]
        parts += [f"{percent} %"] if event.total else []
        parts += [f"{event.rate / 1e6:.1f} MB/s"] if event.rate else []
        self._step_of[event.host] = " ".join(parts)
        tenth = (event.state, percent // 10)
        if self._told.get(event.host) != tenth:
            self._told[event.host] = tenth
            self._plain(f"{event.host} {self._step_of[event.host]}")

    def _settle(self, host: str, state: str) -> None:
        # Once a host has changed or failed it stays so in the picture, whatever it does next.
        if self._state[host] in ("failed", "unreachable") or (self._state[host] == "changed" and state == "ok"):
            return
        self._state[host] = state

    def _plain(self, text: str) -> None:
        if self._live is None:
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            sys.stderr.flush()

    def _word(self, state: str) -> str:
        return say(self._language, "run", state)

    def _table(self) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("room", "host", "outcome", "task"):
            table.add_column(self._word(column), no_wrap=True)
        now = time.monotonic()
        shown = list(self._rooms) if len(self._rooms) <= MOST_HOSTS else self._busy()
        for host in shown:
            state = self._state[host]
            doing = self._step_of.get(host) or self._task_of.get(host, "")
            running = f"{doing} {now - self._since.get(host, now):.0f} s" if state == "running" else ""
            table.add_row(self._rooms[host], host, Text(self._word(state), COLOURS[state]), Text(running))
        for room in sorted(set(self._rooms.values())):
            counts = Counter(self._state[host] for host in self._rooms if self._rooms[host] == room)
            table.add_row(room, "", ", ".join(f"{self._word(state)} {n}" for state, n in sorted(counts.items())), "")
        return table

    def _busy(self) -> list[str]:
        quiet = ("ok", "waiting", "changed")
        return [host for host in self._rooms if self._state[host] not in quiet][:MOST_HOSTS]
