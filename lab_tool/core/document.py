"""The change document: what is asked for, in the very bytes that people sign."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from lab_tool.canonical import Json, dump
from lab_tool.clock import parse_utc, utc_text
from lab_tool.core.plain_text import reason
from lab_tool.core.window import Span, Weekly, end_of_day, parse_weekly
from lab_tool.errors import UsageError
from lab_tool.school.model import RISKS, Risk

REQUEST_NAMESPACE = "lab-change-request"
APPROVE_NAMESPACE = "lab-change-approve"
REJECT_NAMESPACE = "lab-change-reject"
ID = re.compile(r"c-[0-9a-f]{10}")


@dataclass(frozen=True, slots=True)
class Standing:
    """A prepared procedure: every week in that window, by the clock of `zone`, up to the end of `last_day`."""

    weekly: Weekly
    zone: ZoneInfo
    last_day: date

    @property
    def ends(self) -> datetime:
        """When the last day is over, in UTC."""
        return end_of_day(self.last_day, self.zone)

    def as_json(self) -> dict[str, Json]:
        """As in the document."""
        return {"weekly": str(self.weekly), "time_zone": self.zone.key, "last_day": self.last_day.isoformat()}


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for. `plan` is a digest, `hosts` all hosts asked for, times are UTC.

    `window` is the only time it may run in, or None; `expires` is None for an emergency, whose approval comes after it.
    """

    origin: str
    verb: str
    rooms: tuple[str, ...]
    hosts: tuple[str, ...]
    plan: str
    why: str
    risk: Risk
    requester: str
    requested: datetime
    expires: datetime | None
    window: Span | None
    standing: Standing | None
    emergency: bool
    overrides: Mapping[str, Json]

    def as_json(self) -> dict[str, Json]:
        """The document, as the log holds it."""
        window = self.window
        return {
            "v": 1,
            "type": "change",
            "origin": self.origin,
            "verb": self.verb,
            "rooms": list(self.rooms),
            "hosts": list(self.hosts),
            "plan": self.plan,
            "why": self.why,
            "risk": self.risk,
            "requester": self.requester,
            "requested": utc_text(self.requested),
            "expires": utc_text(self.expires) if self.expires else None,
            "window": {"from": utc_text(window.opens), "to": utc_text(window.closes)} if window else None,
            "standing": self.standing.as_json() if self.standing else None,
            "emergency": self.emergency,
            "settings": dict(self.overrides),
        }

    @property
    def signed(self) -> bytes:
        """The bytes that are signed: canonical JSON, without a line end."""
        return dump(self.as_json())

    @property
    def id(self) -> str:
        """`c-` and the first ten hexadecimal digits of the SHA-256 of the signed bytes."""
        return "c-" + hashlib.sha256(self.signed).hexdigest()[:10]


def check_id(change: str) -> str:
    """The id, if it is one. Raises `UsageError`."""
    if not ID.fullmatch(change):
        raise UsageError(
            f"no change is named {change!r}: an id looks like c-1f2e3d4c5b", next_command="lab change list"
        )
    return change


def read_change(stored: Mapping[str, Any]) -> Change:
    """The change of a document from the log; raises `ValueError` unless it gives exactly the same bytes again."""
    try:
        expires, window, standing = stored["expires"], stored["window"], stored["standing"]
        change = Change(
            origin=stored["origin"],
            verb=stored["verb"],
            rooms=tuple(stored["rooms"]),
            hosts=tuple(stored["hosts"]),
            plan=stored["plan"],
            why=reason(stored["why"], "why"),
            risk=RISKS[RISKS.index(stored["risk"])],
            requester=stored["requester"],
            requested=parse_utc(stored["requested"]),
            expires=parse_utc(expires) if expires else None,
            window=Span(parse_utc(window["from"]), parse_utc(window["to"])) if window else None,
            standing=_standing(standing) if standing else None,
            emergency=stored["emergency"],
            overrides=stored["settings"],
        )
        same = change.signed == dump(stored)
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise ValueError(f"not a change: {error!r}") from error
    if not same:
        raise ValueError("not a change in the form this version writes")
    return change


def _standing(stored: Mapping[str, Any]) -> Standing:
    return Standing(
        weekly=parse_weekly(stored["weekly"]),
        zone=ZoneInfo(stored["time_zone"]),
        last_day=date.fromisoformat(stored["last_day"]),
    )
