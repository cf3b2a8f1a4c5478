"""Findings: in what a PC differs from the inventory and from the standard; how bad that is; how many are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

RED, YELLOW = "red", "yellow"
# How bad each kind is, and the rule it is against.
KINDS = {
    "account": (YELLOW, "A12"),
    "address": (RED, "B4"),
    "address_beyond": (YELLOW, "B4"),
    "admin": (RED, "A12"),
    "clock": (YELLOW, "B4"),
    "control": (RED, "B11"),
    "gateway": (YELLOW, "B4"),
    "host_name": (RED, "B4"),
    "image": (YELLOW, "B11"),
    "mac": (RED, "B12"),
    "mac_unknown": (YELLOW, "B12"),
    "name_servers": (YELLOW, "B4"),
    "package": (YELLOW, "B3"),
    "port": (YELLOW, "B11"),
    "setuid": (YELLOW, "A12"),
    "setuid_foreign": (RED, "A12"),
    "system": (RED, "B11"),
    "time_zone": (YELLOW, "B4"),
}
# Told one by one, the worst first; the rest is counted.
MOST = 60
LONGEST = 160


@dataclass(frozen=True)
class Finding:
    """One difference. `about` tells several of a kind apart: a package, a port, an account."""

    kind: str
    expected: str
    found: str
    about: str = ""

    @property
    def id(self) -> str:
        """`package:nmap`; the same from one check to the next."""
        return f"{self.kind}:{short(self.about)}" if self.about else self.kind

    def as_json(self) -> dict[str, str]:
        """For the evidence."""
        severity, rule = KINDS[self.kind]
        return {
            "id": self.id,
            "kind": self.kind,
            "severity": severity,
            "rule": rule,
            "expected": short(self.expected),
            "found": short(self.found),
        }


def told(findings: Iterable[Finding]) -> dict[str, Any]:
    """The findings as values for the log: `findings`, how many there are of each severity, and of which kind more."""
    ordered = sorted(set(findings), key=lambda finding: (KINDS[finding.kind][0] != RED, finding.id, finding.found))
    counts = Counter(KINDS[finding.kind][0] for finding in ordered)
    return {
        "findings": [finding.as_json() for finding in ordered[:MOST]],
        "red": counts[RED],
        "yellow": counts[YELLOW],
        "untold": dict(sorted(Counter(finding.kind for finding in ordered[MOST:]).items())),
    }


def reason(values: dict[str, Any]) -> str:
    """`2 findings: host_name, package:nmap`; empty for none."""
    number = values["red"] + values["yellow"]
    return f"{number} finding{'s' if number > 1 else ''}: {some(values['findings'])}" if number else ""


def some(findings: Sequence[dict[str, str]], most: int = 5) -> str:
    """The ids of the first few, and how many more."""
    more = len(findings) - most
    return ", ".join(finding["id"] for finding in findings[:most]) + (f" and {more} more" if more > 0 else "")


def short(text: str) -> str:
    """One printable line of bounded length, whatever a PC's user called a file."""
    line = "".join(each if each.isprintable() else "?" for each in text)
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
