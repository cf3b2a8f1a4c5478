"""Checkpoints as a verifier reads them: text, origin and signature."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from lab_tool import signature
from lab_tool.clock import parse_utc
from lab_tool.log.verify.report import Finding, Question, Shown

NAMESPACE = "lab-checkpoint"
FORM = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"(?:time (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\n)?)\n"
    r"(?P<signature>-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----)\n*"
)
LONGEST = 64 * 1024
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with a good signature. `place` is empty for one from beside the log."""

    place: str
    name: str
    size: int
    root: bytes
    time: str

    @property
    def label(self) -> str:
        """Where it is from, and its name there."""
        return f"{self.place} {self.name}".strip()


def check(question: Question) -> tuple[list[Signed], list[Finding]]:
    """The checkpoints that count, smallest first, and what is wrong with the others."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda shown: _check(question, shown), _distinct(question.shown)))
    good = [result for result in results if isinstance(result, Signed)]
    return (
        sorted(good, key=lambda signed: (signed.size, signed.time)),
        [result for result in results if isinstance(result, Finding)],
    )


def _check(question: Question, shown: Shown) -> Signed | Finding:
    label = f"{shown.place} {shown.name}".strip()
    match = _form(shown.text)
    if match is None:
        return Finding("forged", values={"checkpoint": label, "why": "it has not the form of a checkpoint"})
    if match["origin"] != question.origin:
        return Finding("foreign", values={"checkpoint": label, "origin": match["origin"]})
    try:
        at = parse_utc(match["time"]) if match["time"] else question.now
    except ValueError:
        return Finding("forged", values={"checkpoint": label, "why": "its time is none"})
    if not _is_signed(question, match, at):
        return Finding("forged", values={"checkpoint": label, "why": "no trusted key signed it"})
    return Signed(shown.place, shown.name, int(match["size"]), base64.b64decode(match["root"]), match["time"] or "")


def _is_signed(question: Question, match: re.Match[str], at: datetime) -> bool:
    candidates = [("lab-log", key) for key in question.keys]
    armored = match["signature"] + "\n"
    return signature.signer_of(match["text"].encode(), armored, NAMESPACE, candidates, at) is not None


def _form(data: bytes) -> re.Match[str] | None:
    try:
        # Mail programs make CR LF of line ends.
        return FORM.fullmatch(data.replace(b"\r\n", b"\n").decode()) if len(data) <= LONGEST else None
    except UnicodeDecodeError:
        return None


def _distinct(shown: Sequence[Shown]) -> list[Shown]:
    """Each text once for each place: several files of one checkpoint cost one check."""
    return list({(each.place, each.text): each for each in shown}.values())
