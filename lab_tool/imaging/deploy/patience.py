"""Trying again while a server is away: a server that dies and comes back costs time, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.trouble import AwayError

T = TypeVar("T")
_FIRST, _LONGEST = 0.5, 10.0


class Patience:
    """Waits longer each time, until the server has been away for `situation.patience` seconds. `good` starts anew."""

    def __init__(self, situation: Situation, whom: str) -> None:
        self._situation = situation
        self._whom = whom
        self._since: float | None = None
        self._pause = _FIRST

    def good(self) -> None:
        """The server answered."""
        self._since, self._pause = None, _FIRST

    def wait(self, why: Exception | str) -> None:
        """Wait before the next try. Raises `AwayError` when it was enough."""
        now = self._situation.now()
        self._since = now if self._since is None else self._since
        if now - self._since > self._situation.patience:
            raise AwayError(
                f"the image server has not answered for {self._situation.patience:.0f} seconds ({why})",
                where=self._whom,
                advice="Check the network cable and the server; the next network boot goes on where this one stopped",
            )
        self._situation.sleep(self._pause)
        self._pause = min(_LONGEST, self._pause * 2)


def patiently(situation: Situation, whom: str, attempt: Callable[[], T]) -> T:
    """What `attempt` returns once it raises no `OSError` any more. Raises `AwayError`."""
    patience = Patience(situation, whom)
    while True:
        try:
            return attempt()
        except OSError as error:
            patience.wait(error)
