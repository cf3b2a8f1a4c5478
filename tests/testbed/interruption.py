"""Ctrl-C and SIGTERM: one way out for both, and none in the middle of a step that must be whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that end a program until the block is done; then they take effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    # Blocked while handlers are exchanged, so that it happens for all of them or none; programs started later must not
    # inherit the block.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    before = {number: signal.signal(number, note) for number in _ENDINGS}
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in came[:1]:
            signal.raise_signal(late)


def end_like_interrupt() -> None:
    """Let SIGTERM and a closed terminal end this program as Ctrl-C does: through all `finally`."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _ENDINGS:
        signal.signal(number, leave)
