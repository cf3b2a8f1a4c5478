"""Checkpoints as a verifier reads them: text, origin and signature."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
    """What a checkpoint says, and the text and signature that are to prove it. `place` is empty for one from beside
    the log.
    """

    place: str
    name: str
    size: int
    root: bytes
    time: str
    text: bytes
    armored: str

    @property
    def label(self) -> str:
        """Where it is from, and its name there."""
        return f"{self.place} {self.name}".strip()


def read(question: Question) -> tuple[list[Signed], list[Finding]]:
    """The checkpoints of this log as they claim to be, smallest first, and what is wrong with the others."""
    claims, findings = [], []
    for shown in question.shown:
        claim = _claim(question, shown)
        if isinstance(claim, Finding):
            findings.append(claim)
        else:
            claims.append(claim)
    return sorted(claims, key=lambda claim: (claim.size, claim.time)), findings


def confirm(question: Question, claims: list[Signed]) -> tuple[list[Signed], list[Finding]]:
    """The claims that a trusted key signed while it was valid, in their order, and a finding for each other one."""
    # The same text in three places costs one check.
    distinct = {(claim.text, claim.armored): claim for claim in claims}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda claim: _is_signed(question, claim), distinct.values())
        signed = dict(zip(distinct, answers, strict=True))
    good = [claim for claim in claims if signed[claim.text, claim.armored]]
    bad = [claim for claim in claims if not signed[claim.text, claim.armored]]
    return good, [Finding("forged", values={"checkpoint": claim.label, "why": "unsigned"}) for claim in bad]


def _claim(question: Question, shown: Shown) -> Signed | Finding:
    label = f"{shown.place} {shown.name}".strip()
    match = _form(shown.text)
    if match is None or not _is_time(match["time"]):
        return Finding("forged", values={"checkpoint": label, "why": "form"})
    if match["origin"] != question.origin:
        return Finding("foreign", values={"checkpoint": label, "origin": match["origin"]})
    return Signed(
        place=shown.place,
        name=shown.name,
        size=int(match["size"]),
        root=base64.b64decode(match["root"]),
        time=match["time"],
        text=match["text"].encode(),
        armored=match["signature"] + "\n",
    )


def _is_signed(question: Question, claim: Signed) -> bool:
    candidates = [("lab-log", key) for key in question.keys]
    return signature.signer_of(claim.text, claim.armored, NAMESPACE, candidates, parse_utc(claim.time)) is not None


def _is_time(text: str) -> bool:
    try:
        parse_utc(text)
    except ValueError:
        return False
    return True


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
