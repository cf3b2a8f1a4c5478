"""Follows an order to its end: what the PC reports on the way, and when to give it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab_tool.errors import LabError
from lab_tool.imaging.orders.server import ImageServer, Standing

ENDED = ("imaged", "failed", "withdrawn", "expired")


@dataclass(frozen=True, slots=True)
class Step:
    """Where a PC is: `state`, how much of how much (bytes; 0 where that is unknown), and bytes a second."""

    state: str
    done: int = 0
    total: int = 0
    rate: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until a PC must have asked for its order, that it may be silent afterwards, and between looks."""

    asks: float
    silent: float
    between: float = 2.0


class GaveUpError(LabError):
    """An order that did not come to its end. `asked` tells whether the PC ever asked for it."""

    def __init__(self, what: str, *, asked: bool) -> None:
        super().__init__(what)
        self.asked = asked


def follow(
    server: ImageServer,
    order: str,
    patience: Patience,
    tell: Callable[[Step], None],
    now: Callable[[], float],
    sleep: Callable[[float], None],
) -> Standing:
    """Wait for the order's end, telling each step; `now` counts seconds. Raises `GaveUpError`.

    A server that doesn't answer is asked again: the PC goes on without being watched.
    """
    begun = heard = now()
    claimed = False
    before: tuple[float, int] = (begun, 0)
    while True:
        try:
            standing = server.standing(order)
        except LabError as error:
            if now() - heard > patience.silent:
                raise GaveUpError(f"the image server was silent for too long: {error}", asked=claimed) from error
            sleep(patience.between)
            continue
        heard = now()
        claimed = claimed or bool(standing.report) or standing.state == "claimed"
        if standing.state in ENDED or not standing.state:
            return standing
        age = _number(standing.report.get("age"))
        if not claimed and now() - begun > patience.asks:
            raise GaveUpError(
                "it never asked the image server: off, or it does not start from the network", asked=False
            )
        if claimed and age > patience.silent:
            said = standing.report.get("state", "")
            raise GaveUpError(f"it said nothing for {age} seconds, the last time: {said}", asked=True)
        step, before = _step(standing, before, now())
        tell(step)
        sleep(patience.between)


def _step(standing: Standing, before: tuple[float, int], moment: float) -> tuple[Step, tuple[float, int]]:
    report = standing.report
    state = str(report.get("state") or ("booting" if standing.state == "claimed" else "waking"))
    done, total = _number(report.get("done")), _number(report.get("total"))
    seconds, bytes_before = moment - before[0], before[1]
    rate = int((done - bytes_before) / seconds) if seconds > 0 and done > bytes_before > 0 else 0
    return Step(state, done, total, rate), (moment, done)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
