"""Start the program that sends a stream, and see whether it still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.server.cast import Launch, Sender
from lab_tool.process import start

_STOP_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """`root` holds images, cells and packs. `interface` is the address of the card that is in the rooms' network, empty
    for the one that routing chooses; `rate` in Mbit/s, 0 for what the network allows; `hops` more than 1 where routers
    between server and rooms forward multicast.
    """

    root: Path
    interface: str = ""
    rate: float = 0
    hops: int = 1


def launcher(settings: SenderSettings, err: IO[bytes]) -> Launch:
    """What starts senders; their complaints go to `err`."""

    def launch(join: Join, receivers: int) -> Sender:
        package = Path(__file__).parents[3]
        argv = [sys.executable, "-m", "lab_tool.imaging.server.cast_send", "--root", str(settings.root)]
        argv += ["--image", join.image, "--stream", join.stream, "--group", join.group, "--port", str(join.port)]
        argv += ["--rate", str(settings.rate), "--hops", str(settings.hops), "--receivers", str(receivers)]
        if settings.interface:
            argv += ["--interface", settings.interface]
        return SenderProcess(start(argv, env={**os.environ, "PYTHONPATH": str(package)}, pass_fds=(), err=err))

    return launch


class SenderProcess:
    """A sender that was started."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.said = ""

    def running(self) -> bool:
        """Whether it still sends; once it does not, `said` is its line of JSON."""
        if self._child.poll() is None:
            return True
        if self._child.stdout and not self._child.stdout.closed:
            with self._child.stdout as out:
                self.said = out.read().decode(errors="replace").strip()
        return False

    def stop(self) -> None:
        """End it: its receivers are told, and go on by unicast."""
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP_WITHIN)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self.running()
