"""Lynis and the SCAP content of Debian's packages on a PC before and after the lock-down; writes RESULTS.md."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.integration.conftest import LabRoom, school_around
from tests.integration.lockdown_room import play
from tests.testbed.interruption import end_like_interrupt
from tests.testbed.room import TestHost, build_room, reason_not_available

RESULTS = Path(__file__).with_name("RESULTS.md")
# By default the profile that is locked down most, and the one that has to serve others.
PROFILES = ("student", "server")
LYNIS = "lynis audit system --quick --quiet --no-colors"
CONTENT = "/usr/share/xml/scap/ssg/content/ssg-debian11-ds.xml"
# Debian 12 has no content of its own: Debian 11's applies once the line is gone that asks for 11.
ADAPT = rf"""sed '/platform idref="cpe:\/o:debian:debian_linux:11"/d' {CONTENT} >/var/tmp/scap.xml"""
SCAP_PROFILES = ("standard", "anssi_np_nt28_high")
SCAP = (
    "oscap xccdf eval --profile xccdf_org.ssgproject.content_profile_{} --results /var/tmp/result.xml /var/tmp/scap.xml"
)
RULE = "xccdf_org.ssgproject.content_rule_"

HEAD = f"""# A PC before and after the lock-down, judged by others

`python -m tests.judges` on {{day}}, {{system}}. A PC of the testbed with the software of a minimal system: a container
has no kernel, boot loader or partitions of its own, which costs points before and after.

| profile | judge | before | after |
| --- | --- | --- | --- |
{{rows}}

Commands on the PC: `{LYNIS}`; `{SCAP.format("...")}`.
The content is Debian 11's (`{CONTENT}`),
since Debian 12's packages have none for 12, without the line that asks for 11.
{{left}}
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judges say: Lynis' index (0 to 100), its warnings and how many suggestions; SCAP rules by result."""

    index: int
    warnings: tuple[str, ...]
    suggestions: int
    scap: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Judge a PC of each profile named; 77 where there can be no PCs here."""
    reason = reason_not_available()
    if reason:
        print(f"judges: {reason}", file=sys.stderr)
        return 77
    end_like_interrupt()
    found: dict[str, tuple[Verdict, Verdict]] = {}
    for profile in arguments or PROFILES:
        found[profile] = judge_profile(profile)
        # Each when it is there: the next may take minutes.
        RESULTS.write_text(report(found), encoding="utf-8")
    print(report(found))
    return 0


def judge_profile(profile: str) -> tuple[Verdict, Verdict]:
    """A fresh PC, and the same once it is locked down."""
    with tempfile.TemporaryDirectory(prefix="lab-judges-") as name:
        folder = Path(name)
        with build_room("judges", 1, folder / "room", names=lambda seat: f"a301-{seat:02d}") as pcs:
            lab = LabRoom(pcs, school_around(pcs, folder / "school"))
            room = lab.school.inventory / "rooms" / f"{lab.school.room}.yml"
            text = room.read_text(encoding="utf-8").replace("profile: student", f"profile: {profile}")
            room.write_text(text, encoding="utf-8")
            (host,) = pcs.hosts
            host.use_stock()
            host.run("apt-get install --yes lynis openscap-scanner ssg-debian", timeout=600)
            before = judge(host)
            locked = play(lab, "lockdown", host)
            if locked.outcome != "changed":
                raise SystemExit(f"judges: the lock-down of {profile} ended {locked.outcome}: {locked.reason}")
            return before, judge(host)


def judge(host: TestHost) -> Verdict:
    """Ask both."""
    host.run(LYNIS, check=False, timeout=600)
    lines = host.run("cat /var/log/lynis-report.dat").stdout.splitlines()
    fields = [line.partition("=")[::2] for line in lines]
    index = next(int(value) for key, value in fields if key == "hardening_index")
    warnings = tuple("|".join(value.split("|")[:2]) for key, value in fields if key == "warning[]")
    suggestions = sum(key == "suggestion[]" for key, _ in fields)
    host.run(ADAPT)
    return Verdict(index, warnings, suggestions, {profile: _scap(host, profile) for profile in SCAP_PROFILES})


def _scap(host: TestHost, profile: str) -> dict[str, tuple[str, ...]]:
    """Rules by result; those that don't apply are left out."""
    done = host.run(SCAP.format(profile), check=False, timeout=600)
    if done.returncode not in (0, 2):
        raise SystemExit(f"judges: oscap: {done.stderr}")
    text = (host.root / "var/tmp/result.xml").read_text(encoding="utf-8")
    space = re.search(r'xmlns(?::[\w.-]+)?="(http://checklists\.nist\.gov/xccdf/[\d.]+)"', text)
    assert space is not None, "not a result of XCCDF"
    found: dict[str, list[str]] = {}
    for rule in ElementTree.fromstring(text).iter(f"{{{space[1]}}}rule-result"):
        result = rule.findtext(f"{{{space[1]}}}result", "")
        found.setdefault(result, []).append(rule.attrib["idref"].removeprefix(RULE))
    return {result: tuple(sorted(rules)) for result, rules in found.items()}


def report(found: dict[str, tuple[Verdict, Verdict]]) -> str:
    """As it stands in RESULTS.md."""
    rows = []
    for profile, (before, after) in found.items():
        rows.append(f"| {profile} | Lynis: hardening index (of 100) | {before.index} | {after.index} |")
        rows.append(f"| | Lynis: warnings | {len(before.warnings)} | {len(after.warnings)} |")
        rows.append(f"| | Lynis: suggestions | {before.suggestions} | {after.suggestions} |")
        for scap in SCAP_PROFILES:
            was, now = (Counter({key: len(rules) for key, rules in one.scap[scap].items()}) for one in (before, after))
            rows.append(f"| | SCAP `{scap}`: pass / fail | {_counts(was)} | {_counts(now)} |")
    left = []
    for profile, (_, after) in found.items():
        left.append(f"\n## Left on a PC of profile {profile}\n")
        left += [f"- Lynis: {warning.replace('|', ': ')}" for warning in after.warnings]
        failed = sorted({rule for scap in SCAP_PROFILES for rule in after.scap[scap].get("fail", ())})
        left.append("- SCAP: " + (", ".join(f"`{rule}`" for rule in failed) or "nothing"))
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return HEAD.format(day=f"{datetime.now(UTC):%Y-%m-%d}", system=system, rows="\n".join(rows), left="\n".join(left))


def _counts(results: Counter[str]) -> str:
    return f"{results['pass']} / {results['fail']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
