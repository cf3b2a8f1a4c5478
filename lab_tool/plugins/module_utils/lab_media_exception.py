"""The outcome of an exception for removable media; pure."""

from __future__ import annotations

from calendar import timegm
from time import gmtime, strftime, strptime
from typing import Any

FORM = "%Y-%m-%dT%H:%M:%SZ"


def judge(given: dict[str, Any], status: dict[str, Any], *, check: bool) -> tuple[str, str, dict[str, Any]]:
    """Outcome, reason, values from what was wanted and what the PC says."""
    if given["failure"]:
        return "failed", given["failure"], {}
    if not status:
        return "failed", "the PC does not say which removable media it admits", {}
    there = status["exception"] or {"until": 0, "devices": []}
    until = strftime(FORM, gmtime(there["until"])) if there["until"] else ""
    values = {
        "admits": status["admits"],
        "until": until,
        "devices": sorted(there["devices"]),
        "mounted": status["mounted"],
    }
    if until == given["until"] and sorted(there["devices"]) == sorted(given["devices"]):
        if until and status["time"] >= timegm(strptime(until, FORM)):
            return "failed", f"the exception ended at {until}", values
        return "ok", f"in force until {until}" if until else "", values
    wanted = f"in force until {given['until']}" if given["until"] else "ended"
    if check:
        return "ok", f"the exception would be {wanted}", values
    return "failed", f"the exception is not {wanted}", values
