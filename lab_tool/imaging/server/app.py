"""The daemon as an application: its answers, and the work it does beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from lab_tool.imaging.server.answers import LONGEST, guarded
from lab_tool.imaging.server.control import ForControl
from lab_tool.imaging.server.dhcp_log import DhcpLog
from lab_tool.imaging.server.office import Office
from lab_tool.imaging.server.pcs import ForPcs


def make_app(office: Office) -> web.Application:
    """An application that answers for this office."""
    app = web.Application(
        middlewares=[guarded(lambda: office.tell("disk_full", "state"))],
        client_max_size=LONGEST,
    )
    app.add_routes(ForPcs(office).routes() + ForControl(office).routes())

    async def beside(app: web.Application) -> AsyncIterator[None]:
        log = DhcpLog(office.settings.dhcp_log, lambda mac: office.tell("unknown_mac", mac, asked="DHCP"))
        tasks = [asyncio.create_task(office.wake.run()), asyncio.create_task(log.run())]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        office.cast.stop()

    app.cleanup_ctx.append(beside)
    return app
