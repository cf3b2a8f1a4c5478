"""What the process that records, and those it forks, know of the run."""

from __future__ import annotations

import json
import os
from contextlib import suppress


class Live:
    """`run` is the run that is being recorded, empty while nothing is: set by the recorder, asked by `lab_recorded`.

    `progress` is where `lab run` reads events: set by `lab_progress` before Ansible forks, whose workers have no
    standard output of their own.
    """

    run = ""
    progress = -1


def tell(host: str, state: str, done: int = 0, total: int = 0, rate: int = 0) -> None:
    """Show where a host is in one long task: bytes done of `total`, bytes a second. Shown, and stored nowhere."""
    if Live.progress < 0:
        return
    fields = {"event": "step", "host": host, "state": state, "done": done, "total": total, "rate": rate}
    # One write of less than a pipe takes at once, so that lines of several workers don't mix; a viewer may be gone.
    with suppress(OSError):
        os.write(Live.progress, (json.dumps(fields) + "\n").encode())
