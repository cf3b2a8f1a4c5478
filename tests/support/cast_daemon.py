"""What the image server's daemon does for streams, without the daemon: a room for each image given, of two PCs.

    python -m tests.support.cast_daemon ADDRESS ROOT IMAGE ...

Prints a line of JSON with what each room is invited to, and another one when all streams are over.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.server.cast import Cast, CastSettings
from lab_tool.imaging.server.cast_launch import SenderSettings, launcher


def main(address: str, root: str, *images: str) -> int:
    """Invite, and wait for the end."""
    settings = SenderSettings(Path(root), address, rate=40)
    cast = Cast(CastSettings(), launch=launcher(settings, sys.stderr.buffer), clock=time.monotonic)
    answers = []
    for at, image in enumerate(images):
        cast.ask(f"room{at}", image, f"{at}-1", 2)
        answers.append(cast.ask(f"room{at}", image, f"{at}-2", 2))
    print(json.dumps([one.answer() for one in answers if isinstance(one, Join)]), flush=True)
    most = 0
    while running := len(cast.streams()):
        most = max(most, running)
        time.sleep(0.1)
    print(json.dumps({"most": most}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
