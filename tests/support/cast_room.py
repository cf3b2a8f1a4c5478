"""Streams in a network of namespaces: senders and PCs as programs of their own, with what each said at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_tool.imaging.format.datagrams import Join
from lab_tool.settings import PROJECT
from tests.support.cast_image import CastImage
from tests.support.cast_network import CastNetwork, Node

_LONGEST = 90
_HTTP = 8080
# From the last line before it to the open socket.
_HEARS_WITHIN = 0.5


@dataclass(slots=True)
class Running:
    """A program in a namespace."""

    child: subprocess.Popen[str]
    disk: Path = Path()

    def end(self) -> Any:
        """What it says at its end, which is waited for."""
        out, _ = self.child.communicate(timeout=_LONGEST)
        assert self.child.returncode == 0, out
        return json.loads(out)

    def signal(self, number: int) -> None:
        """Stop, continue or kill it."""
        os.kill(self.child.pid, number)
        if number == signal.SIGKILL:
            self.child.communicate(timeout=_LONGEST)

    @property
    def heard(self) -> int:
        """How many cells a PC has written so far, in all its lives."""
        note = self.disk.with_suffix(".heard")
        return note.stat().st_size if note.exists() else 0


@dataclass(slots=True)
class CastRoom:
    """A context: what it started is gone at its end."""

    network: CastNetwork
    folder: Path
    _started: list[Running] = field(default_factory=list)

    def __enter__(self) -> CastRoom:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._started:
            if one.child.poll() is None:
                one.child.kill()
                with suppress(subprocess.TimeoutExpired):
                    one.child.communicate(timeout=10)
        self._started.clear()

    def send(self, image: CastImage, join: Join, receivers: int, rate: float = 40, patience: float = 10) -> Running:
        """Send a stream from the server."""
        argv = ["--root", str(image.root), "--image", image.id, "--stream", join.stream, "--group", join.group]
        argv += ["--port", str(join.port), "--interface", self.network.server.address, "--start", "5"]
        argv += ["--receivers", str(receivers), "--rate", str(rate), "--patience", str(patience)]
        return self.program(self.network.server, "lab_tool.imaging.server.cast_send", *argv)

    def pc(
        self, at: int, image: CastImage, join: Join, *, pause: float = 0, patience: float = 4, unicast: bool = True
    ) -> Running:
        """Start the PC of that number; its disk is the one that it had the last time."""
        node = self.network.pcs[at]
        disk = self.folder / f"disk{at}"
        told = {
            **{name: str(value) for name, value in join.answer().items()},
            "invited": join.image,
            "image": image.id,
            "root": str(image.root),
            "cells": image.cells.digest,
            "disk": str(disk),
            "interface": "",
            "pause": str(pause),
            "patience": str(patience),
            "url": f"http://{self.network.server.address}:{_HTTP}/packs/{image.pack.name}" if unicast else "",
        }
        running = self.program(node, "tests.support.cast_pc", json.dumps(told))
        running.disk = disk
        return running

    def late(self, sender: Running, image: CastImage, join: Join, *numbers: int) -> list[Running]:
        """Start those PCs in mid-stream: the stream stands still until they hear it, however slow this machine is."""
        sender.signal(signal.SIGSTOP)
        notes = [self.folder / f"disk{at}.ready" for at in numbers]
        for note in notes:
            note.unlink(missing_ok=True)
        pcs = [self.pc(at, image, join, patience=60) for at in numbers]
        until(lambda: all(note.exists() for note in notes))
        time.sleep(_HEARS_WITHIN)
        sender.signal(signal.SIGCONT)
        return pcs

    def serve(self, image: CastImage) -> None:
        """Let the server answer by unicast, too."""
        words = (self.network.server.address, str(_HTTP), str(image.root))
        self.program(self.network.server, "tests.support.range_server", *words)

    def program(self, node: Node, module: str, *words: str) -> Running:
        """Start a module on a machine of the network."""
        child = subprocess.Popen(
            node.inside(sys.executable, "-m", module, *words), stdout=subprocess.PIPE, text=True, cwd=PROJECT
        )
        self._started.append(Running(child))
        return self._started[-1]


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def intact(image: CastImage, disks: Sequence[Path]) -> list[bool]:
    """Whether each disk holds the image, byte by byte."""
    wanted = image.partition.read_bytes()
    return [disk.read_bytes() == wanted for disk in disks]
