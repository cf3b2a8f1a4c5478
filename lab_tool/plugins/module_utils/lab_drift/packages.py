"""Packages that somebody asked for and that are beyond the standard, from dpkg's and apt's own records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .findings import Finding

STATUS, MARKS = Path("/var/lib/dpkg/status"), Path("/var/lib/apt/extended_states")
# What every Debian has.
BASE_PRIORITIES = frozenset({"required", "important", "standard"})
NEEDS = ("Pre-Depends", "Depends", "Recommends")
NAME = re.compile(r"[^\s,|(:\[<]+")


@dataclass(frozen=True)
class Package:
    """An installed package. `base` is part of any Debian; `automatic` came as a dependency, as apt has it; `needs` are
    the names of those it depends on or recommends, all alternatives of them.
    """

    name: str
    version: str
    base: bool
    automatic: bool
    needs: frozenset[str]
    provides: frozenset[str]


def installed(status: Path = STATUS, marks: Path = MARKS) -> list[Package]:
    """Every package that is installed."""
    automatic = {
        (fields.get("Package"), fields.get("Architecture"))
        for fields in (_stanzas(marks) if marks.exists() else ())
        if fields.get("Auto-Installed") == "1"
    }
    names = {name for name, _ in automatic}
    return [
        Package(
            name=fields["Package"],
            version=fields.get("Version", ""),
            base=fields.get("Essential") == "yes" or fields.get("Priority") in BASE_PRIORITIES,
            # Apt lists packages for all architectures under the PC's own.
            automatic=(fields["Package"], fields.get("Architecture")) in automatic
            or (fields.get("Architecture") == "all" and fields["Package"] in names),
            needs=frozenset().union(*(_names(fields.get(field, "")) for field in NEEDS)),
            provides=_names(fields.get("Provides", "")),
        )
        for fields in _stanzas(status)
        if fields.get("Status", "").endswith(" installed") and "Package" in fields
    ]


def beyond(found: Sequence[Package], standard: Sequence[str]) -> Iterator[Finding]:
    """Those somebody asked for that are no part of any Debian, that no pattern of the standard names, and that nothing
    of these needs: an installer may mark every library as asked for.
    """
    within = {each.name for each in found if each.base or any(fnmatchcase(each.name, p) for p in standard)}
    needed = _closure(found, within)
    for each in found:
        if not each.automatic and each.name not in needed:
            yield Finding("package", "not in the standard", f"{each.name} {each.version}", each.name)


def _closure(found: Sequence[Package], names: set[str]) -> set[str]:
    """The names, and all that these packages need in turn."""
    by_name: dict[str, list[Package]] = {}
    for each in found:
        for name in (each.name, *each.provides):
            by_name.setdefault(name, []).append(each)
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other.name for other in _needed(by_name, name)]
    return reached


def _needed(by_name: Mapping[str, Sequence[Package]], name: str) -> Iterator[Package]:
    for each in by_name.get(name, ()):
        if each.name == name:
            for need in each.needs:
                yield from by_name.get(need, ())


def _names(relation: str) -> frozenset[str]:
    """The package names in `a (>= 1) | b:any, c`."""
    parts = (part.strip() for clause in relation.split(",") for part in clause.split("|"))
    return frozenset(found[0] for part in parts if (found := NAME.match(part)))


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    """The fields of each paragraph that stand on one line."""
    fields: dict[str, str] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.strip() == "":
                if fields:
                    yield fields
                fields = {}
            elif not line.startswith((" ", "\t")):
                name, _, value = line.partition(":")
                fields[name] = value.strip()
    if fields:
        yield fields
