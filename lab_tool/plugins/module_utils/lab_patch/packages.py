"""What apt's own resolver would do for a policy, and what it would need. Looks; changes nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .policy import Policy, Source

# Ubuntu rolls an update out to a growing share of machines; one that is not out for all yet is not due yet.
PHASED = "Phased-Update-Percentage"


@dataclass(frozen=True)
class Step:
    """A package that is installed in one version while another is wanted."""

    installed: str
    available: str

    def as_json(self) -> dict[str, str]:
        """For a result."""
        return {"installed": self.installed, "available": self.available}


@dataclass(frozen=True)
class Selection:
    """What is to be done, and what is not although newer versions exist. Keys are package names, as dpkg writes them.

    `kept_back` can't be updated without removing something, or without a package from a source that is not in scope.
    `broken` are installed packages without what they need; apt updates nothing beside them.
    `outside` counts updates that are out of scope or from third parties that are not listed.
    `download` and `grows` are bytes; `largest` is the biggest installed size among the new versions.
    """

    upgrades: Mapping[str, Step]
    added: Mapping[str, str]
    held: Mapping[str, Step]
    kept_back: Mapping[str, Step]
    broken: tuple[str, ...]
    outside: int
    download: int
    grows: int
    largest: int

    @property
    def pending(self) -> dict[str, Step]:
        """All that is in scope, not on hold, and not there yet."""
        return {**self.upgrades, **self.kept_back}


def open_cache(lists: str = "") -> Any:
    """python3-apt's cache, with package lists from a folder of their own unless `lists` is empty.

    Raises `ImportError` without python3-apt, `SystemError` (`apt_pkg.Error` is one) where apt can't read its own files.
    """
    apt_pkg: Any = importlib.import_module("apt_pkg")
    apt: Any = importlib.import_module("apt")
    apt_pkg.init_config()
    if lists:
        apt_pkg.config.set("Dir::State::lists", lists)
        # The caches in files belong to the lists of the system.
        apt_pkg.config.set("Dir::Cache::pkgcache", "")
        apt_pkg.config.set("Dir::Cache::srcpkgcache", "")
    for option in ("--force-confdef", "--force-confold"):
        # A file of settings that somebody changed here stays as it is.
        apt_pkg.config.set("DPkg::Options::", option)
    apt_pkg.config.set("Commandline::AsString", "patch")
    return apt.Cache()


def sources_of(cache: Any) -> list[Source]:
    """The sources whose lists the cache holds."""
    files = [file for file in cache._cache.file_list if not file.not_source]
    found = {Source(file.origin, file.label, file.archive, file.codename, file.site) for file in files}
    return sorted(found, key=str)


def select(cache: Any, policy: Policy) -> Selection:
    """Mark in the cache what `policy` wants done, as far as it can be done without removing anything."""
    resolver = _Resolver(cache, policy)
    for package in cache:
        if package.is_installed:
            resolver.consider(package)
    resolver.resolve()
    return resolver.selection()


class _Resolver:
    """One pass over the installed packages."""

    def __init__(self, cache: Any, policy: Policy) -> None:
        self._cache = cache
        self._policy = policy
        self._targets: dict[str, Any] = {}
        self._frozen: dict[str, Any] = {}
        self._held: dict[str, Step] = {}
        self._kept_back: dict[str, Step] = {}
        self._broken: list[str] = []
        self._outside = 0

    def consider(self, package: Any) -> None:
        """Sort one installed package: update it, leave it, or let it not even move for the sake of others."""
        name, installed, candidate = str(package.name), package.installed, package.candidate
        # What apt itself would not choose (pinned down, not automatic) is no candidate here either.
        floor = max(candidate.policy_priority, 1) if candidate else None
        newer = [v for v in package.versions if floor is not None and v > installed and v.policy_priority >= floor]
        if not newer:
            if candidate != installed:
                self._frozen[name] = installed
            return
        wanted = [v for v in newer if self._policy.wants(name, _sources(v)) and not v.record.get(PHASED)]
        target = max(wanted) if wanted else None
        if target is None:
            self._outside += 1
        elif package._pkg.selected_state == _selected_hold() or self._policy.holds(name):
            self._held[name] = Step(str(installed.version), str(target.version))
            target = None
        if target is None:
            self._frozen[name] = installed
        else:
            self._targets[name] = target

    def resolve(self) -> None:
        """Mark all targets, or, where apt finds no clean way, all but those that stand in its way."""
        depcache = self._cache._depcache
        depcache.init()
        if depcache.broken_count:
            self._broken = sorted(str(p.name) for p in self._cache if p.is_installed and p.is_inst_broken)
        targets = {} if self._broken else dict(self._targets)
        while not self._mark(targets) and targets:
            left = self._keep_back(targets)
            # Each round is smaller.
            targets = left if len(left) < len(targets) else {}
        self._kept_back = {name: self._step(name) for name in sorted(self._targets) if name not in targets}

    def _mark(self, targets: Mapping[str, Any]) -> bool:
        """Whether these go in with nothing removed, nothing else moved, nothing added that may not be."""
        depcache = self._cache._depcache
        depcache.init()
        stay = {name: self._cache[name].installed for name in self._targets if name not in targets}
        with self._cache.actiongroup():
            for name, version in {**self._frozen, **stay, **targets}.items():
                depcache.set_candidate_ver(self._cache[name]._pkg, version._cand)
            # First all of them, then what they need: a package may need another target in its new version.
            for with_dependencies in (False, True):
                for name in sorted(targets):
                    package = self._cache[name]
                    # Whether it was asked for by somebody or came as a dependency stays as it is.
                    depcache.mark_install(package._pkg, with_dependencies, not package.is_auto_installed)
        clean = not depcache.broken_count and not depcache.del_count and not self._unwanted()
        return clean and all(self._cache[name].marked_upgrade for name in targets)

    def _keep_back(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The targets that are left when nothing may be removed or added against the policy."""
        depcache = self._cache._depcache
        for package in [*(package for package in self._cache if package.marked_delete), *self._unwanted()]:
            depcache.mark_keep(package._pkg)
        importlib.import_module("apt_pkg").ProblemResolver(depcache).resolve_by_keep()
        return {name: version for name, version in targets.items() if self._cache[name].marked_upgrade}

    def _unwanted(self) -> list[Any]:
        """Packages marked as new that the policy does not let in."""
        return [
            package
            for package in self._cache.get_changes()
            if not package.is_installed and not self._policy.may_add(str(package.name), _sources(package.candidate))
        ]

    def _step(self, name: str) -> Step:
        return Step(str(self._cache[name].installed.version), str(self._targets[name].version))

    def selection(self) -> Selection:
        """What is marked now."""
        changes = self._cache.get_changes()
        return Selection(
            upgrades={package.name: self._step(package.name) for package in changes if package.is_installed},
            added={package.name: str(package.candidate.version) for package in changes if not package.is_installed},
            held=dict(sorted(self._held.items())),
            kept_back=self._kept_back,
            broken=tuple(self._broken),
            outside=self._outside,
            download=int(self._cache.required_download) if changes else 0,
            grows=int(self._cache._depcache.usr_size) if changes else 0,
            largest=max((int(package.candidate.installed_size) for package in changes), default=0),
        )


def _sources(version: Any) -> Iterable[Source]:
    return [Source(item.origin, item.label, item.archive, item.codename, item.site) for item in version.origins]


def _selected_hold() -> int:
    return int(importlib.import_module("apt_pkg").SELSTATE_HOLD)
