"""The outcome of an exception for removable media from what the PC says."""

from __future__ import annotations

from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_media_exception import judge

UNTIL = "2026-11-24T22:30:00Z"
END = 1_795_559_400


def said(**changes: Any) -> dict[str, Any]:
    """What the PC says, an hour before the end."""
    there = {"until": END, "devices": ["S1"]}
    return {"admits": "never", "exception": there, "time": END - 3600, "mounted": [], **changes}


def wanted(until: str = UNTIL, failure: str = "") -> dict[str, Any]:
    """What was asked for."""
    return {"until": until, "devices": ["S1"] if until else [], "failure": failure}


def test_in_force() -> None:
    outcome, reason, values = judge(wanted(), said(), check=False)
    assert (outcome, reason) == ("ok", f"in force until {UNTIL}")
    assert values == {"admits": "never", "until": UNTIL, "devices": ["S1"], "mounted": []}


def test_ended() -> None:
    assert judge(wanted(""), said(exception=None), check=False)[:2] == ("ok", "")


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [
        (wanted(), {}, "the PC does not say which removable media it admits"),
        (wanted(), said(exception=None), f"the exception is not in force until {UNTIL}"),
        (wanted(), said(exception={"until": END, "devices": []}), f"the exception is not in force until {UNTIL}"),
        (wanted(), said(time=END), f"the exception ended at {UNTIL}"),
        (wanted(""), said(), "the exception is not ended"),
        (wanted(failure="it broke"), said(), "it broke"),
    ],
)
def test_anything_else_has_failed(given: dict[str, Any], status: dict[str, Any], why: str) -> None:
    assert judge(given, status, check=False)[:2] == ("failed", why)


def test_a_rehearsal_says_what_would_be() -> None:
    assert judge(wanted(), said(exception=None), check=True)[:2] == (
        "ok",
        f"the exception would be in force until {UNTIL}",
    )
    assert judge(wanted(""), said(), check=True)[:2] == ("ok", "the exception would be ended")
