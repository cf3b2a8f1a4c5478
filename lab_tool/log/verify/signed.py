"""Checkpoints as a verifier reads them: text, origin and signature."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from lab_tool import signature
from lab_tool.clock import parse_utc
from lab_tool.log.verify.report import Finding, Question, Shown

NAMESPACE = "lab-checkpoint"
FORM = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)\n)\n"
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
    texts = {shown.text: shown for shown in question.shown}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # The same text in three places costs one check.
        verdicts = dict(zip(texts, pool.map(lambda shown: _check(question, shown), texts.values()), strict=True))
    good, bad = [], []
    for shown in question.shown:
        verdict = verdicts[shown.text]
        if isinstance(verdict, Finding):
            label = f"{shown.place} {shown.name}".strip()
            bad.append(replace(verdict, values={**verdict.values, "checkpoint": label}))
        else:
            good.append(replace(verdict, place=shown.place, name=shown.name))
    return sorted(good, key=lambda signed: (signed.size, signed.time)), bad


def _check(question: Question, shown: Shown) -> Signed | Finding:
    match = _form(shown.text)
    if match is None:
        return Finding("forged", values={"why": "form"})
    if match["origin"] != question.origin:
        return Finding("foreign", values={"origin": match["origin"]})
    try:
        at = parse_utc(match["time"])
    except ValueError:
        return Finding("forged", values={"why": "form"})
    if not _is_signed(question, match, at):
        return Finding("forged", values={"why": "unsigned"})
    return Signed(shown.place, shown.name, int(match["size"]), base64.b64decode(match["root"]), match["time"])


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


def origin_of(data: bytes) -> str:
    """The name a checkpoint gives its log; empty where it is no checkpoint. The signature is not checked."""
    match = _form(data)
    return match["origin"] if match else ""
