"""What the PC says to the image server and hears from it: who it is, what it is to become, how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lab_tool.imaging.deploy.patience import patiently
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import AwayError, DeployError, StoppedError
from lab_tool.imaging.pinned import Pinned

# What a server that is busy says.
_LATER = (408, 425, 429)
# Seconds between two reports of the same state.
_BETWEEN = 2.0


class Talk:
    """One PC's conversation. The session that the server gives is secret, as the token is."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._server = Pinned(situation.api, situation.pin)
        self._session = ""

    @property
    def session(self) -> str:
        """For the path of what is sent up. Never shown."""
        return self._session

    def claim(self, facts: Mapping[str, Any]) -> tuple[str, str]:
        """The text and the signature of the order for this PC. Raises `AwayError` and `DeployError`."""
        said = self._ask(
            "/api/claim",
            {
                "mac": self._situation.mac,
                "token": self._situation.token,
                "deploy": self._situation.deploy,
                "facts": facts,
            },
        )
        self._session = str(said.get("session", ""))
        return str(said.get("order", "")), str(said.get("signature", ""))

    def next(self, image: str, lacks: int) -> Mapping[str, Any]:
        """How this PC is to get an image, of which it lacks so many thousandths: `do` is wait, fetch or join."""
        return self._ask("/api/next", {"session": self._session, "image": image, "lacks": lacks})

    def report(self, state: str, **more: object) -> bool:
        """Say where the PC is, until the server has heard it; whether the order still stands. Raises `AwayError`."""
        body = {"done": 0, "total": 0, "bytes": 0, "message": "", **more, "session": self._session, "state": state}
        return not self._ask("/api/report", body).get("stop", False)

    def try_report(self, state: str, **more: object) -> bool:
        """The same, once; a server that is away is told the next time."""
        body = {"done": 0, "total": 0, "bytes": 0, "message": "", **more, "session": self._session, "state": state}
        try:
            status, said = self._server.call("POST", "/api/report", body)
        except OSError:
            return True
        return status != 200 or not said.get("stop", False)

    def put(self, name: str, content: bytes) -> None:
        """Send up a part of what is captured. Raises `AwayError` and `DeployError`."""
        self._call("PUT", f"/api/capture/{self._session}/{name}", content)

    def _ask(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | bytes) -> Mapping[str, Any]:
        # The path of a capture holds the session, so that messages name the server only.
        status, said = patiently(self._situation, self._situation.api, lambda: self._once(method, path, body))
        if status in (401, 403):
            raise AwayError(
                f"the image server refuses this PC: {str(said.get('error', status))[:200]}",
                where=self._situation.api,
                advice="Start it from the network again; if it is refused again, look at its MAC in the inventory",
            )
        if status == 507:
            raise DeployError("the disk of the image server is full", where=self._situation.api, advice="lab image gc")
        if status != 200:
            raise DeployError(
                f"the image server did not take what was sent (HTTP {status}: {str(said.get('error', ''))[:200]})",
                where=self._situation.api,
            )
        return said

    def _once(self, method: str, path: str, body: Mapping[str, Any] | bytes) -> tuple[int, dict[str, Any]]:
        status, said = self._server.call(method, path, body)
        if (status >= 500 and status != 507) or status in _LATER:
            raise OSError(f"HTTP {status}")
        return status, said


class Progress:
    """Tells the server how far it is, beside the work. `moved` may be called from any thread.

    Use as context; `check` raises `StoppedError` once the order was withdrawn.
    """

    def __init__(self, talk: Talk | None, now: Callable[[], float]) -> None:
        self._talk = talk
        self._now = now
        self._since = now()
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._news = threading.Event()
        self._stopped = False
        self._state, self._done, self._total, self._bytes = "", 0, 0, 0
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if self._talk:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Say nothing more."""
        self._ended.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def state(self, state: str, total: int = 0) -> None:
        """A new state, and the bytes that it will take."""
        self.check()
        with self._lock:
            self._count()
            self._state, self._done, self._total = state, 0, total
        self._news.set()

    def spent(self) -> dict[str, float]:
        """Seconds in each state so far."""
        with self._lock:
            self._count()
            return {state: round(seconds, 2) for state, seconds in self._seconds.items()}

    def _count(self) -> None:
        now = self._now()
        if self._state:
            self._seconds[self._state] = self._seconds.get(self._state, 0.0) + now - self._since
        self._since = now

    def moved(self, size: int) -> None:
        """So many bytes more."""
        with self._lock:
            self._done += size

    def received(self, size: int) -> None:
        """So many bytes more came over the network."""
        with self._lock:
            self._bytes += size

    def check(self) -> None:
        """Raise `StoppedError` when the order was withdrawn."""
        if self._stopped:
            raise StoppedError("the order was withdrawn while it was carried out", advice="Image the PC again")

    def _tell(self) -> None:
        while not self._ended.is_set():
            self._news.wait(_BETWEEN)
            self._news.clear()
            with self._lock:
                state, said = self._state, {"done": self._done, "total": self._total, "bytes": self._bytes}
            if state and self._talk and not self._ended.is_set() and not self._talk.try_report(state, **said):
                self._stopped = True
