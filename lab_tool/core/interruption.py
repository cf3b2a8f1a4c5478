"""Ctrl-C, SIGTERM and a closed terminal, taken as a wish to stop: never in the middle of recording something."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds from the polite signal to the hard one.
PATIENCE = 15.0


class Interruption:
    """Whether somebody asked to stop; whoever runs Ansible hands its process over, to be told."""

    def __init__(self) -> None:
        self.asked = False
        self._child: subprocess.Popen[bytes] | None = None

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """Tell `child` to end when asked, also when that was a moment ago."""
        self._child = child
        if self.asked:
            self._tell()

    def ask(self, number: int, frame: object) -> None:
        """The signal handler: the first time politely, the second time at once."""
        again, self.asked = self.asked, True
        if again and self._child is not None:
            self._child.kill()
        else:
            self._tell()

    def _tell(self) -> None:
        if self._child is not None:
            self._child.terminate()
            late = threading.Timer(PATIENCE, self._child.kill)
            late.daemon = True
            late.start()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Heed signals while this lasts; one that the caller ignores (nohup) stays ignored."""
    interruption = Interruption()
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interruption.ask) for number in heeded}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
