"""The orders that this server holds, each a file: what was ordered, who claimed it and what the PC said last.

A record is on the disk before anybody hears of it. None is ever thrown away: an order that came to its end, or was
withdrawn, can't be given again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.order import ORDER_ID, Order
from lab_tool.imaging.server.files import write_whole

# Orders that may still change.
LIVE = ("open", "claimed")
# A PC reports every second or so; what is lost by a kill is at most this much.
REPORT_EVERY = 10.0
_MOST_USED = 1000


class BookError(Exception):
    """Something that the book does not allow; the text says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """`state` is open, claimed, imaged, failed or withdrawn; `text` is empty for one that was withdrawn before it came.

    `session` is the SHA-256 of the session that claimed it, `used` those of used tokens with their last seconds.
    """

    id: str
    state: str
    text: str = ""
    signature: str = ""
    came: int = 0
    why: str = ""
    session: str = ""
    fetches: bool = False
    used: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    reported: float = 0.0

    def has_used(self, token: str) -> bool:
        """Whether that token was used to claim this order."""
        return _hash(token) in self.used


class Book:
    """All orders, in memory and below `folder`; `now` is seconds since 1970."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._records: dict[str, Record] = {}
        self._orders: dict[str, Order] = {}
        self._sessions: dict[str, str] = {}
        self._saved: dict[str, float] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What a killed server left unfinished.
        for part in folder.glob(".o-*.new"):
            part.unlink()
        for path in sorted(folder.glob("o-*.json")):
            record = _read(path)
            self._records[record.id] = record
            self._sessions[record.session] = record.id
            if record.text:
                self._orders[record.id] = Order.parse(record.text.encode())

    def get(self, number: str) -> Record | None:
        """The record of that order."""
        return self._records.get(number)

    def order(self, number: str) -> Order:
        """The order itself."""
        return self._orders[number]

    def state(self, record: Record) -> str:
        """The record's state, or `expired` for an order that nobody claimed in its time."""
        if record.state != "open":
            return record.state
        until = self._orders[record.id].notes.get("until", "")
        return "expired" if until and self._now() > _moment(until).timestamp() else "open"

    def live(self, mac: str = "") -> list[Record]:
        """Orders that may still be claimed, of that PC or of all; the newest last, which is the one that counts."""
        found = [
            record
            for record in self._records.values()
            if self.state(record) in LIVE and mac in ("", self._orders[record.id].mac)
        ]
        return sorted(found, key=lambda record: _moment(self._orders[record.id].issued))

    def of_session(self, session: str) -> Record | None:
        """The order that this session claimed last, whatever became of it."""
        wanted = _hash(session)
        record = self._records.get(self._sessions.get(wanted, ""))
        # Another session may have taken its place.
        return record if record is not None and record.session == wanted else None

    def add(self, order: Order, text: str, signature: str) -> Record:
        """Take in an order whose signature was checked. Raises `BookError`.

        One that is here already stays as it is, except that one that expired unclaimed may be given again. It takes the
        place of an older order of the same PC.
        """
        moment = _moment(order.issued)
        if order.notes.get("until"):
            _moment(order.notes["until"])
        known = self._records.get(order.id)
        expired = known is not None and self.state(known) == "expired"
        if known is not None and not (expired and moment > _moment(self._orders[order.id].issued)):
            return known
        others = [one for one in self._orders.values() if one.mac == order.mac and one.id != order.id]
        newest = max(others, key=lambda one: _moment(one.issued), default=order)
        if moment < _moment(newest.issued):
            raise BookError(f"a newer order of {order.host} is here: {newest.id}")
        new = self._save(Record(order.id, "open", text, signature, int(self._now())))
        self._orders[order.id] = order
        for other in others:
            if self._records[other.id].state in LIVE:
                self._save(replace(self._records[other.id], state="withdrawn", why=f"replaced by {order.id}"))
        return new

    def withdraw(self, number: str) -> Record:
        """Withdraw an order, here or not, unless it came to its end. Raises `BookError`."""
        if not ORDER_ID.fullmatch(number):
            raise BookError("this is no id of an order")
        known = self._records.get(number)
        if known is None:
            return self._save(Record(number, "withdrawn", came=int(self._now()), why="withdrawn before it came"))
        return self._save(replace(known, state="withdrawn", why="withdrawn")) if known.state in LIVE else known

    def claim(self, record: Record, token: str, last: int, facts: Mapping[str, Any]) -> str:
        """Use up a token and begin a session, which takes the place of one before. Raises `BookError`."""
        now = self._now()
        if record.has_used(token):
            raise BookError("the token was used before")
        used = {one: until for one, until in record.used.items() if until >= now}
        if len(used) >= _MOST_USED:
            raise BookError("too many tokens were used within a quarter of an hour")
        session = secrets.token_hex(32)
        report = {"state": "claimed", "done": 0, "total": 0, "bytes": 0, "message": ""}
        self._save(
            replace(
                record,
                state="claimed",
                session=_hash(session),
                fetches=False,
                used={**used, _hash(token): last},
                facts=dict(facts),
                report=report,
                reported=now,
            )
        )
        return session

    def report(self, record: Record, report: Mapping[str, Any], result: Mapping[str, Any]) -> Record:
        """Note what a PC says; `imaged` and `failed` end its order."""
        said = str(report["state"])
        state = said if said in ("imaged", "failed") else record.state
        new = replace(record, state=state, report=dict(report), result=dict(result), reported=self._now())
        if said != record.report.get("state") or self._now() - self._saved.get(record.id, 0.0) >= REPORT_EVERY:
            return self._save(new)
        self._records[record.id] = new
        return new

    def note_fetching(self, record: Record, fetches: bool) -> Record:
        """Remember over a restart who fetches."""
        return record if record.fetches is fetches else self._save(replace(record, fetches=fetches))

    def age(self, record: Record) -> int:
        """Seconds since the last report."""
        return max(0, int(self._now() - record.reported))

    def _save(self, record: Record) -> Record:
        """On the disk first: what can't be written did not happen."""
        write_whole(self._folder / f"{record.id}.json", json.dumps(asdict(record)).encode())
        self._records[record.id] = record
        self._sessions[record.session] = record.id
        self._saved[record.id] = self._now()
        return record


def _hash(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BookError(f"an order with the time {text[:40]!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(path: Path) -> Record:
    """A record. One that can't be read stays closed: it may have been withdrawn."""
    try:
        record = Record(**json.loads(path.read_bytes()))
        if record.text:
            Order.parse(record.text.encode())
    except (ValueError, TypeError, FormatError):
        return Record(path.stem, "withdrawn", why="its record on the server's disk is damaged")
    return record
