"""Everything that is read back from a PC, once as values for the log and once as what a verdict needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import dpkg, host, lists
from .packages import Selection, Step, open_cache, select, sources_of
from .policy import Policy
from .programs import Programs
from .verdict import Reading


@dataclass(frozen=True)
class Act:
    """What was to be done: `updated` by package with keys `installed` and `available`, `added` by package a version."""

    updated: Mapping[str, Mapping[str, str]]
    added: Mapping[str, str]


def read(policy: Policy, folder: str, act: Act, programs: Programs, now: int) -> tuple[Reading, dict[str, Any]]:
    """Read the PC's own records. `folder`: its package lists, empty for the system's; `now`: seconds.

    Raises `ImportError` without python3-apt, `SystemError` or `OSError` where apt's records can't be read.
    """
    cache = open_cache(folder)
    selection, sources = select(cache, policy), sources_of(cache)
    unfinished = dpkg.unfinished(programs)
    restarts = host.restarts(programs)
    reasons = host.reboot_reasons(restarts)
    fetched = lists.updated_at(folder)
    reading = Reading(
        pending=list(selection.pending),
        kept_back=list(selection.kept_back),
        broken=list(selection.broken),
        unfinished=unfinished,
        has_scope=policy.has_scope(sources),
        lists_age=max(now - fetched, 0) if fetched else -1,
        expired=lists.expired(now, folder),
        restarts_known=restarts.known,
        reboot=reasons,
    )
    values = {
        "scope": policy.scope,
        "updated": {
            name: {"before": step["installed"], "wanted": step["available"], "after": _version(cache, name)}
            for name, step in act.updated.items()
        },
        "added": {name: {"wanted": wanted, "after": _version(cache, name)} for name, wanted in act.added.items()},
        **_selected(selection),
        "unfinished": unfinished,
        "lists_updated": lists.utc_text(fetched),
        "sources": sorted({str(source) for source in sources}),
        "reboot_required": bool(reasons),
        "reboot_reasons": reasons,
        "kernel_running": restarts.kernel_running,
        "kernel_installed": restarts.kernel_installed,
        "services": list(restarts.services),
    }
    return reading, values


def _selected(selection: Selection) -> dict[str, Any]:
    def steps(packages: Mapping[str, Step]) -> dict[str, Any]:
        return {name: step.as_json() for name, step in packages.items()}

    return {
        "pending": steps(selection.pending),
        "held": steps(selection.held),
        "kept_back": steps(selection.kept_back),
        "broken": list(selection.broken),
        "outside_scope": selection.outside,
    }


def _version(cache: Any, name: str) -> str:
    """The version dpkg has now; empty for none."""
    now = cache[name].installed if name in cache else None
    return str(now.version) if now else ""
