"""Which updates are wanted: pure rules over the names of packages and the sources they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

SCOPES = ["security", "full"]
# A source as its Release file names it; `site` is the host it is fetched from. Each is a shell pattern.
SOURCE_KEYS = ("origin", "label", "suite", "codename", "site")
SOURCE_SPEC: dict[str, Any] = {key: {"type": "str"} for key in SOURCE_KEYS}
THIRD_PARTY_SPEC: dict[str, Any] = {**SOURCE_SPEC, "packages": {"type": "list", "elements": "str", "default": []}}
POLICY_SPEC: dict[str, Any] = {
    "scope": {"type": "str", "choices": SCOPES, "required": True},
    "hold": {"type": "list", "elements": "str", "default": []},
    "distribution": {"type": "list", "elements": "dict", "required": True, "options": SOURCE_SPEC},
    "security": {"type": "list", "elements": "dict", "required": True, "options": SOURCE_SPEC},
    "third_party": {"type": "list", "elements": "dict", "default": [], "options": THIRD_PARTY_SPEC},
}


@dataclass(frozen=True)
class Source:
    """Where a version of a package comes from."""

    origin: str
    label: str
    suite: str
    codename: str
    site: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.label or self.origin or self.site, self.codename or self.suite) if part)


@dataclass(frozen=True)
class Pattern:
    """A set of sources, by shell patterns on what their Release files say, and of packages; empty means any."""

    wanted: tuple[tuple[str, str], ...]
    packages: tuple[str, ...] = ()

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Pattern:
        """From the option of a module; raises `ValueError` for a pattern that names no source, so any."""
        wanted = tuple((key, str(spec[key])) for key in SOURCE_KEYS if spec.get(key))
        if not wanted:
            raise ValueError("a source needs at least one of " + ", ".join(SOURCE_KEYS))
        return cls(wanted, tuple(spec.get("packages") or ()))

    def has(self, source: Source) -> bool:
        """Whether the source is one of these."""
        return all(fnmatchcase(getattr(source, key), pattern) for key, pattern in self.wanted)

    def covers(self, package: str, source: Source) -> bool:
        """Whether this package of this source is meant."""
        return self.has(source) and (not self.packages or any(fnmatchcase(package, name) for name in self.packages))


@dataclass(frozen=True)
class Policy:
    """What may be updated. `scope` is `security` or `full`; `hold` are shell patterns of package names."""

    scope: str
    hold: tuple[str, ...]
    distribution: tuple[Pattern, ...]
    security: tuple[Pattern, ...]
    third_party: tuple[Pattern, ...]

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Policy:
        """From the `policy` option of a module; raises `ValueError`."""
        if spec.get("scope") not in SCOPES:
            raise ValueError(f"the scope is one of {', '.join(SCOPES)}")
        distribution, security, third_party = (
            tuple(Pattern.read(item) for item in spec.get(key) or ())
            for key in ("distribution", "security", "third_party")
        )
        return cls(str(spec["scope"]), tuple(spec.get("hold") or ()), distribution, security, third_party)

    def wants(self, package: str, sources: Iterable[Source]) -> bool:
        """Whether a version from any of these sources is in scope. Listed third-party packages are, in both scopes."""
        own = self.security if self.scope == "security" else self.distribution
        return any(
            any(pattern.has(source) for pattern in own)
            or any(pattern.covers(package, source) for pattern in self.third_party)
            for source in sources
        )

    def may_add(self, package: str, sources: Iterable[Source]) -> bool:
        """Whether an update may bring this package along: any of the distribution's, listed ones of third parties."""
        return any(
            any(pattern.has(source) for pattern in (*self.distribution, *self.security))
            or any(pattern.covers(package, source) for pattern in self.third_party)
            for source in sources
        )

    def holds(self, package: str) -> bool:
        """Whether the package is to be left alone."""
        return any(fnmatchcase(package, pattern) for pattern in self.hold)

    def has_scope(self, sources: Iterable[Source]) -> bool:
        """Whether any of these sources can hold updates in scope at all; if not, "nothing pending" means nothing."""
        own = self.security if self.scope == "security" else self.distribution
        return any(pattern.has(source) for source in sources for pattern in own)
