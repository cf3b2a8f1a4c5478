"""The daemon: `python3 -m lab_tool.imaging.server [SETTINGS]`, behind nginx, on a socket of its own."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from aiohttp import web

from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.server import wake
from lab_tool.imaging.server.app import make_app
from lab_tool.imaging.server.cast import Cast, CastSettings
from lab_tool.imaging.server.cast_launch import SenderSettings, launcher
from lab_tool.imaging.server.office import Clocks, Office
from lab_tool.imaging.server.settings import FILE, ServerSettings

SOCKET = Path("/run/lab-image-server/socket")


def main() -> int:
    """Exit code 1 when the settings can't be used, which the journal then tells."""
    parser = argparse.ArgumentParser(prog="lab-image-server", description=__doc__)
    parser.add_argument("settings", nargs="?", type=Path, default=FILE)
    parser.add_argument("--socket", type=Path, default=SOCKET)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        settings = ServerSettings.parse(options.settings.read_bytes())
    except (OSError, FormatError) as error:
        logging.error("%s", error)
        return 1
    senders = SenderSettings(settings.served, settings.address, settings.stream_rate, settings.stream_hops)
    cast = Cast(
        CastSettings(gather=settings.gather, streams=settings.streams),
        launch=launcher(senders, sys.stderr.buffer),
        clock=time.monotonic,
    )
    office = Office(settings, Clocks(time.time, time.monotonic), cast, lambda mac: wake.send(mac, settings.broadcasts))
    # Who may connect is for the folder of the socket to say, and for the group that the daemon runs with.
    web.run_app(make_app(office), path=str(options.socket), print=lambda *_: None, access_log=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
