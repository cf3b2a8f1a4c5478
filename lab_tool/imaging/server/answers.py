"""How requests are read and answered: JSON both ways, small, in time, and no word of what went wrong inside."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from aiohttp import web

from lab_tool.imaging.format.fields import Fields, FormatError
from lab_tool.imaging.server.book import BookError

_log = logging.getLogger(__name__)
# Bytes of a request: an order with a Windows answer file and policies, twice over.
LONGEST = 3 << 20
# Seconds for all of it to come.
PATIENCE = 10.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AnswerError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refuse(status: int, text: str) -> NoReturn:
    """End this request with an error that its sender may read."""
    raise AnswerError(status, text)


def answer(body: Any, status: int = 200) -> web.Response:
    """JSON."""
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})


def script(text: str) -> web.Response:
    """A script for iPXE, made for this moment."""
    return web.Response(text=text, content_type="text/plain", headers={"Cache-Control": "no-store"})


async def read(request: web.Request, patience: float = PATIENCE) -> dict[str, Any]:
    """The JSON object that was sent."""
    try:
        data = await asyncio.wait_for(request.read(), patience)
    except TimeoutError:
        refuse(408, "the request took too long")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        refuse(400, "this is no JSON")
    if not isinstance(value, dict):
        refuse(400, "this is no object")
    return value


def loose(body: dict[str, Any], name: str, longest: int = 64 << 10) -> dict[str, Any]:
    """Take an object out of a body whose inside nobody here looks at; empty when it is not there."""
    value = body.pop(name, None) or {}
    if not isinstance(value, dict) or len(json.dumps(value)) > longest:
        raise FormatError(f"the request: {name} is no object of less than {longest} bytes")
    return value


def fields(body: dict[str, Any]) -> Fields:
    """The rest of a body, field by field."""
    return Fields(body, "the request")


def guarded(full: Callable[[], None]) -> Any:
    """Middleware: every error is JSON, and tells strangers nothing; `full` is called when the disk is."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except AnswerError as error:
            return answer({"error": str(error)}, error.status)
        except FormatError as error:
            return answer({"error": str(error)}, 400)
        except BookError as error:
            return answer({"error": str(error)}, 409)
        except web.HTTPException as error:
            return answer({"error": error.reason}, error.status)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            full()
            return answer({"error": "the image server's disk is full"}, 507)

    return guard
