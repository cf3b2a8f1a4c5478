"""The server's files over plain HTTP. Nothing that comes in is believed: each file and cell is held to its digest."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from lab_tool.imaging.deploy.patience import Patience
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.sources import Offer, Stretch, stretches
from lab_tool.imaging.deploy.trouble import DeployError
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.packs import Place, parse_index

# So many stretches are on their way at once: while one is waited for, another comes in.
_CONNECTIONS = 3
_TIMEOUT = 20.0
_MISSING = (403, 404, 410, 416)


class Web:
    """`GET` of files and of parts of files, tried again for as long as there is patience. For any number of threads."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._address = urlsplit(situation.http)
        self._connections = threading.local()

    def file(self, path: str, digest: str) -> bytes:
        """A file, which must have that SHA-256. Raises `DeployError`."""
        content = b""
        # Once more: what was damaged on the way comes whole another time.
        for _ in range(2):
            content = self.get(path)
            if hashlib.sha256(content).hexdigest() == digest:
                return content
        raise DeployError(
            f"the file on the image server is damaged or forged: {len(content)} bytes that are not what was signed",
            where=self._situation.http + path,
            advice="On the control node: lab image verify, then run the playbook image_server",
        )

    def get(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes `start` to `end` (not included) of a file, or all of it. Raises `DeployError`."""
        patience = Patience(self._situation, self._situation.http)
        parts: list[bytes] = []
        have = start
        while end is None or have < end:
            try:
                part = self._once(path, have, end)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                partial = error.partial if isinstance(error, http.client.IncompleteRead) and end is not None else b""
                if partial:
                    parts.append(partial)
                    have += len(partial)
                    patience.good()
                patience.wait(type(error).__name__ if isinstance(error, http.client.HTTPException) else error)
                continue
            parts.append(part)
            if end is None:
                break
            have += len(part)
        return b"".join(parts)

    def _once(self, path: str, start: int, end: int | None) -> bytes:
        connection = self._connection()
        headers = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        wanted = 200 if end is None else 206
        if answer.status == wanted:
            content = answer.read()
            if end is not None and not content:
                raise OSError("an answer without content")
            return content
        self._drop()
        if answer.status in _MISSING or answer.status == 200:
            raise DeployError(
                f"the image server has no such file, or only part of it (HTTP {answer.status})",
                where=self._situation.http + path,
                advice="On the control node: run the playbook image_server, which copies what is missing",
            )
        raise OSError(f"HTTP {answer.status}")

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._connections, "one"):
            host, port = self._address.hostname or "", self._address.port or 80
            self._connections.one = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        one: http.client.HTTPConnection = self._connections.one
        return one

    def _drop(self) -> None:
        """Close this thread's connection, which may be half-way through something."""
        if hasattr(self._connections, "one"):
            self._connections.one.close()
            del self._connections.one


class WebSource:
    """Cells of these packs, contiguous ones in one request."""

    def __init__(self, web: Web, packs: Sequence[str]) -> None:
        self._web = web
        self._packs = packs
        self._indexes: Mapping[str, Mapping[bytes, Place]] = {}

    def fetch(self, digests: Sequence[bytes], offer: Offer) -> None:
        """Hand over each of these cells. Raises `DeployError` and what `offer` raises."""
        if digests and not self._indexes:
            self._indexes = {pack: self._index(pack) for pack in self._packs}
        with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="web") as pool:
            ended = threading.Event()

            def one(stretch: Stretch) -> None:
                if ended.is_set():
                    return
                try:
                    self._stretch(stretch, offer)
                except BaseException:
                    ended.set()
                    raise

            for _ in pool.map(one, stretches(digests, self._indexes)):
                pass

    def _index(self, pack: str) -> Mapping[bytes, Place]:
        try:
            return parse_index(self._web.get(f"/packs/{pack}.idx"))
        except FormatError as error:
            raise DeployError(
                f"{error}", where=f"/packs/{pack}.idx", advice="On the control node: lab image verify"
            ) from error

    def _stretch(self, stretch: Stretch, offer: Offer) -> None:
        content = self._web.get(f"/packs/{stretch.pack}.pack", stretch.start, stretch.end)
        for digest, place in stretch.frames:
            start = place.offset - stretch.start
            offer(digest, content[start : start + place.length])
