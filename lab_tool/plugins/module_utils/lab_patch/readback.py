"""Everything that is read back from a PC, once as values for the log and once as what a verdict needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import dpkg, host, lists
from .packages import Selection, Step, open_cache, select, sources_of
from .policy import Policy
from .programs import Programs
from .verdict import Reading


def read(
    policy: Policy, folder: str, wanted: Mapping[str, Mapping[str, str]], programs: Programs, now: int
) -> tuple[Reading, dict[str, Any]]:
    """Read the PC's own records. `folder`: its package lists, empty for the system's; `wanted`: what was to be updated,
    by package, with keys `installed` and `available`; `now`: seconds.

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
        unfinished=unfinished,
        has_scope=policy.has_scope(sources),
        lists_age=max(now - fetched, 0) if fetched else -1,
        expired=lists.expired(now, folder),
        restarts_known=restarts.known,
        reboot=reasons,
    )
    values = {
        "scope": policy.scope,
        "updated": {name: _updated(cache, name, step) for name, step in wanted.items()},
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
        "outside_scope": selection.outside,
    }


def _updated(cache: Any, name: str, step: Mapping[str, str]) -> dict[str, str]:
    """A package's version before, the one wanted, and the one dpkg has now (empty: none)."""
    now = cache[name].installed if name in cache else None
    return {"before": step["installed"], "wanted": step["available"], "after": str(now.version) if now else ""}
