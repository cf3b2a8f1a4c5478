"""A process that is killed in the middle of what it does to the disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

# Everything by which a change reaches the disk's folders.
STEPS = ("fsync", "fdatasync", "rename", "replace", "unlink", "mkdir", "rmdir")


def killed_at(step: int, act: Callable[[], Any], *, after: bool = False) -> bool:
    """Do it in a child that gets SIGKILL before (or after) its `step`-th step; whether it got to its end."""
    child = os.fork()
    if child == 0:
        steps = count(1)
        for name in STEPS:
            setattr(os, name, _watched(getattr(os, name), steps, step, after))
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def _watched(real: Callable[..., Any], steps: count[int], step: int, after: bool) -> Callable[..., Any]:
    def act(*arguments: Any, **more: Any) -> Any:
        at = next(steps)
        if at == step and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*arguments, **more)
        finally:
            if at == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return act
