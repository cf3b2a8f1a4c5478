"""The verdict: the log against itself, against signed checkpoints, and the checkpoints against each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from lab_tool.clock import parse_utc, utc_text
from lab_tool.log.verify.diagnose import diagnose, first_difference
from lab_tool.log.verify.notes import notes
from lab_tool.log.verify.report import Cover, Finding, Progress, Question, Report, Values
from lab_tool.log.verify.scan import Scan, scan
from lab_tool.log.verify.signed import Signed, confirm, read

# How far a checkpoint's time may lie before that of an entry it covers: clocks are set.
CLOCK_SLACK = timedelta(days=1)
# So many signatures of checkpoints that the log agrees with are checked.
ENOUGH = 64


def verify(question: Question, progress: Progress = lambda done, total: None) -> Report:
    """Read the whole log and say what contradicts it. `progress` is told bytes done and bytes in all."""
    claims, unfit = read(question)
    seen = scan(question.entries, [each.size for each in claims], progress)
    checked = _worth_checking(claims, seen)
    signed, unsigned = confirm(question, checked)
    verdict = _against(signed, seen)
    findings = [] if seen.problem is None else [diagnose(question.entries, seen.size, seen.problem)]
    findings += _contradictions(question, verdict, seen)
    findings += _forks(signed)
    findings += [*unfit, *unsigned]
    findings += _backdated(verdict.agreeing, seen)
    findings += _stale(question, signed, seen)
    elsewhere = [each for each in verdict.agreeing if each.place]
    cover = Cover(elsewhere[-1].size, elsewhere[-1].time, elsewhere[-1].label) if elsewhere else None
    return Report(
        entries=seen.size,
        root=seen.root.hex(),
        newest=seen.newest,
        checkpoints=len(signed),
        cover=cover,
        findings=tuple(findings),
        notes=tuple(notes(question, seen, signed, skipped=len(claims) - len(checked))),
    )


def _worth_checking(claims: list[Signed], seen: Scan) -> list[Signed]:
    """All that the log disagrees with; of those it agrees with the newest, and the newest of each place.

    What an older one says of the same log, a newer one says too: thousands need no check of their signature.
    """
    agreeing = [each for each in claims if seen.roots.get(each.size) == each.root]
    newest_of_place = {each.place: each for each in agreeing}.values()
    worth = {each.text for each in (*agreeing[-ENOUGH:], *newest_of_place)}
    agreed = {each.text for each in agreeing}
    return [each for each in claims if each.text not in agreed or each.text in worth]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Checkpoints by what the log says to them: the same, something else, or nothing because it is too short."""

    agreeing: tuple[Signed, ...]
    contradicting: tuple[Signed, ...]
    beyond: tuple[Signed, ...]


def _against(signed: Iterable[Signed], seen: Scan) -> _Verdict:
    agreeing, contradicting, beyond = [], [], []
    for each in signed:
        if each.size > seen.size:
            beyond.append(each)
        elif seen.roots[each.size] == each.root:
            agreeing.append(each)
        else:
            contradicting.append(each)
    return _Verdict(tuple(agreeing), tuple(contradicting), tuple(beyond))


def _contradictions(question: Question, verdict: _Verdict, seen: Scan) -> list[Finding]:
    findings = []
    if verdict.contradicting:
        findings.append(_rewritten(question, verdict))
    if verdict.beyond and seen.problem is None:
        longest = verdict.beyond[-1]
        kind: Any = "truncation" if seen.size else "deleted_all"
        findings.append(Finding(kind, seen.size, longest.size - 1, {"checkpoint": longest.label}))
    return findings


def _rewritten(question: Question, verdict: _Verdict) -> Finding:
    """The chain may hold, but it is not the one that was signed: from which entry on, and by whom."""
    worst = verdict.contradicting[0]
    first = max((each.size for each in verdict.agreeing if each.size < worst.size), default=0)
    exact = first_difference(question.entries, worst.size, worst.root)
    last = worst.size - 1
    values: Values = {"checkpoint": worst.label, "size": worst.size}
    if exact is not None:
        first = last = exact
    newer = [each for each in verdict.agreeing if each.size >= worst.size]
    if newer:
        return Finding("stolen_key", first, last, {**values, "other": newer[0].label})
    if not verdict.agreeing and not first:
        return Finding("replaced", first, last, values)
    return Finding("rechained", first, last, values)


def _forks(signed: Iterable[Signed]) -> list[Finding]:
    """Two good signatures over two roots of one size: whoever holds the key showed different people different logs."""
    findings = []
    for size, group in groupby(signed, key=lambda each: each.size):
        different = list({each.root: each for each in group}.values())
        if len(different) > 1:
            one, other = different[:2]
            findings.append(Finding("fork", values={"size": size, "checkpoint": one.label, "other": other.label}))
    return findings


def _backdated(agreeing: Iterable[Signed], seen: Scan) -> list[Finding]:
    """A checkpoint dated before entries it covers: a key that is no longer valid may have signed it."""
    return [
        Finding("backdated", each.size - 1, each.size - 1, {"checkpoint": each.label, "time": each.time})
        for each in agreeing
        if each.size and _later(each.time) < seen.times[each.size]
    ]


def _later(time: str) -> str:
    """A day after; the text of an entry's time may be no real time, and is compared as text."""
    try:
        return utc_text(parse_utc(time) + CLOCK_SLACK)
    except OverflowError:
        return time


def _stale(question: Question, signed: list[Signed], seen: Scan) -> list[Finding]:
    """An old checkpoint shown as new: by a place that had a newer one, or all that is shown is too old."""
    findings = []
    for place in question.asked:
        told = max((size for size, reached in _published(seen) if place in reached), default=0)
        there = max((each.size for each in signed if each.place == place), default=0)
        if there < told:
            findings.append(Finding("rolled_back", there, told - 1, {"place": place, "size": there, "told": told}))
    times = [each.time for each in signed if each.place]
    if question.max_age_days is not None and times:
        newest = max(times)
        if newest < utc_text(question.now - timedelta(days=question.max_age_days)):
            values: Values = {"time": newest, "days": question.max_age_days}
            findings.append(Finding("stale", values=values))
    return findings


def _published(seen: Scan) -> Iterable[tuple[int, list[str]]]:
    for fields in seen.told:
        body = fields["body"]
        if fields["kind"] == "checkpoint.published" and isinstance(body.get("size"), int):
            reached = body.get("reached")
            yield body["size"], [each for each in reached if isinstance(each, str)] if isinstance(reached, list) else []
