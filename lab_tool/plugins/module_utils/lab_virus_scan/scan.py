"""One scan: every file of the roots handed to the engine, finds put away, and how far it came kept on the disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import quarantine
from .clamd import Answer, Clamd, EngineError
from .files import STATE, read_json, write_json
from .names import shown
from .quarantine import QuarantineError
from .signatures import utc_text
from .walk import VANISHED, Key, Place, Walk, open_file

PROGRESS = f"{STATE}/progress.json"
# Seconds between two notes of how far it came: what a power cut makes be scanned again.
NOTE_EVERY = 1.0
# How many of each are named; all are counted.
NAMED = 20
# So many finds on one PC are for a person to look at.
MOST_FINDS = 500
# Where clamd dies again and again, it is no single file's fault.
ENGINE_DEATHS = 3


@dataclass(frozen=True)
class Job:
    """What to scan. `limit` and `resume_age` in seconds; `now` is the time by a clock that is believed."""

    roots: Sequence[str]
    excluded: Sequence[str]
    allowed: Sequence[str]
    largest: int
    limit: int
    resume_age: int
    now: int
    quarantine: bool = True
    resume: bool = True

    @property
    def digest(self) -> str:
        """Another scan does not go on where this one was cut off."""
        what = [list(self.roots), list(self.excluded), self.largest]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


@dataclass
class Named:
    """A count, and the first few by name."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, path: bytes, why: str = "") -> None:
        """One more."""
        self.count += 1
        if len(self.some) < NAMED:
            self.some.append(shown(path) + (f": {why}" if why else ""))


@dataclass
class Report:
    """What came of it. `before`: files scanned by the cut-off scans that this one went on with."""

    pass_started: int
    before: int = 0
    files: int = 0
    size: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)
    allowed: int = 0
    unreadable: Named = field(default_factory=Named)
    partial: Named = field(default_factory=Named)
    foreign: int = 0
    complete: bool = False
    seconds: int = 0
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """Without floats."""
        said = vars(self).copy()
        said.update(
            unreadable=vars(self.unreadable), partial=vars(self.partial), pass_started=utc_text(self.pass_started)
        )
        return said


class Scan:
    """A scan in progress."""

    def __init__(self, job: Job, clamd: Clamd, walk: Walk, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._clamd, self._walk, self._clock = job, clamd, walk, clock
        self._began = self._noted = clock()
        self._deaths = 0
        self._after: Key = ()
        self.report = Report(job.now)
        if job.resume:
            self._take_up()
        walk.on_error = lambda path, error: self.report.unreadable.add(path, error.strerror or "")

    def run(self) -> Report:
        """Scan until done, until the time is up, or until the engine is gone for good."""
        report = self.report
        try:
            report.complete = self._all()
        except EngineError as error:
            report.trouble = str(error)
        finally:
            self._note(done=report.complete)
        report.foreign = self._walk.foreign
        report.seconds = int(self._clock() - self._began)
        return report

    def _all(self) -> bool:
        for place in self._walk.files([os.fsencode(root) for root in self._job.roots], self._after):
            if self._clock() - self._began >= self._job.limit:
                return False
            self._one(place)
            self._after = place.key
            if len(self.report.found) >= MOST_FINDS:
                self.report.trouble = f"{MOST_FINDS} finds; the scan stopped there"
                return False
            if self._clock() - self._noted >= NOTE_EVERY:
                self._note(done=False)
        return True

    def _one(self, place: Place) -> None:
        try:
            descriptor = open_file(place)
        except OSError as error:
            if error.errno not in VANISHED:
                self.report.unreadable.add(place.path, error.strerror or "")
            return
        try:
            size = os.fstat(descriptor).st_size
            if size > self._job.largest:
                self.report.partial.add(place.path, "too large")
            elif size:
                self._judge(place, descriptor, self._asked(place, descriptor))
                self.report.size += size
            # Last: a file in the middle of which the scan is cut off is scanned again.
            self.report.files += 1
        finally:
            os.close(descriptor)

    def _asked(self, place: Place, descriptor: int) -> Answer:
        try:
            return self._clamd.scan(descriptor)
        except EngineError as error:
            self._deaths += 1
            if self._deaths >= ENGINE_DEATHS or not self._clamd.ping():
                raise
            return Answer(error=str(error))

    def _judge(self, place: Place, descriptor: int, answer: Answer) -> None:
        if answer.error:
            self.report.unreadable.add(place.path, shown(answer.error))
        elif answer.is_partial:
            self.report.partial.add(place.path, answer.signature.rpartition(".")[2])
        elif answer.signature:
            self._found(place, descriptor, shown(answer.signature))
            self._note(done=False)

    def _found(self, place: Place, descriptor: int, signature: str) -> None:
        find = {"path": shown(place.path), "sha256": "", "signature": signature, "quarantine": "", "trouble": ""}
        try:
            find["sha256"] = quarantine.digest_of(descriptor)
            if find["sha256"] in self._job.allowed:
                self.report.allowed += 1
                return
            if self._job.quarantine:
                now = self._job.now + int(self._clock() - self._began)
                find["quarantine"] = quarantine.put(place, descriptor, signature, utc_text(now)).id
        except OSError as error:
            find["trouble"] = error.strerror or "can't be read"
        except QuarantineError as error:
            find["trouble"] = str(error)
        self.report.found.append(find)

    def _take_up(self) -> None:
        """Go on where a scan of the same was cut off, unless that is too long ago."""
        kept = read_json(PROGRESS)
        if not kept or kept["digest"] != self._job.digest or self._job.now - kept["started"] > self._job.resume_age:
            return
        self._after = tuple(os.fsencode(name) for name in kept["after"])
        self.report = Report(kept["started"], before=kept["files"])

    def _note(self, done: bool) -> None:
        if not self._job.resume:
            return
        self._noted = self._clock()
        # Where the disk is full, what is not noted is scanned once more: no reason to scan nothing.
        with suppress(OSError):
            self._write(done)

    def _write(self, done: bool) -> None:
        if done:
            Path(PROGRESS).unlink(missing_ok=True)
            return
        kept = {
            "digest": self._job.digest,
            "started": self.report.pass_started,
            "files": self.report.before + self.report.files,
            "after": [os.fsdecode(name) for name in self._after],
        }
        write_json(PROGRESS, kept)
