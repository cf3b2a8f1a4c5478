"""The outcome of a scanned PC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan.clamd import Answer, read
from lab_tool.plugins.module_utils.lab_virus_scan.command import judge as judge_by_hand
from lab_tool.plugins.module_utils.lab_virus_scan.verdict import Circumstances, judge

NONE: dict[str, Any] = {"count": 0, "some": []}
SOME: dict[str, Any] = {"count": 2, "some": ["/a: Input/output error", "/b: Input/output error"]}
CLEAN: dict[str, Any] = {
    "found": [],
    "trouble": "",
    "stale": "",
    "unreadable": NONE,
    "partial": NONE,
    "complete": True,
    "files": 7,
    "before": 3,
    "foreign": 0,
}
GOES_ON = "the next scan goes on there"
FIND = {"path": "/a", "signature": "Eicar", "quarantine": "q-1", "trouble": ""}
REAL = Circumstances(check=False, failure="", deferred="", fetch_trouble="")


@pytest.mark.parametrize(
    ("scan", "stale", "unsafe", "outcome", "reason"),
    [
        (CLEAN, "", [], "ok", ""),
        ({**CLEAN, "found": [FIND]}, "", [], "ok", "1 found and quarantined: Eicar in /a"),
        ({**CLEAN, "found": [FIND]}, "", ["Eicar in /a: x"], "failed", "found, and not put away: Eicar in /a: x"),
        (CLEAN, "too old", [], "failed", "too old"),
        ({**CLEAN, "found": [FIND]}, "too old", [], "failed", "too old; 1 found and quarantined: Eicar in /a"),
        ({**CLEAN, "trouble": "clamd is gone", "complete": False}, "", [], "failed", "clamd is gone"),
        ({**CLEAN, "unreadable": SOME}, "", [], "failed", "2 files could not be scanned: /a: Input/output error"),
        ({**CLEAN, "partial": SOME}, "", [], "ok", ""),
        (
            {**CLEAN, "complete": False},
            "",
            [],
            "deferred",
            f"the time was up after 10 files; {GOES_ON}",
        ),
        ({**CLEAN, "complete": False}, "too old", [], "failed", "too old"),
        ({}, "", [], "failed", "nothing was scanned"),
    ],
)
def test_outcomes(scan: dict[str, Any], stale: str, unsafe: list[str], outcome: str, reason: str) -> None:
    assert judge(scan, stale, unsafe, REAL) == (outcome, reason)


def test_a_failure_or_a_delay_is_hidden_by_nothing() -> None:
    assert judge(CLEAN, "", [], replace(REAL, failure="it broke", deferred="later")) == ("failed", "it broke")
    assert judge(CLEAN, "too old", [], replace(REAL, deferred="somebody is logged in"))[0] == "deferred"


def test_a_mirror_that_is_down_is_told_and_the_age_decides() -> None:
    down = replace(REAL, fetch_trouble="no answer")
    assert judge(CLEAN, "", [], down) == ("ok", "signatures could not be fetched: no answer")
    assert judge(CLEAN, "too old", [], down)[0] == "failed"


def test_a_rehearsal_says_what_would_be() -> None:
    assert judge({}, "too old", [], replace(REAL, check=True)) == ("ok", "would scan; at present too old")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"found": [FIND]}, 1),
        ({"found": [FIND], "stale": "too old", "trouble": "x", "complete": False}, 1),
        ({"stale": "too old"}, 2),
        ({"trouble": "no engine"}, 2),
        ({"complete": False}, 2),
        ({"unreadable": SOME}, 2),
        ({"partial": SOME}, 2),
        ({"foreign": 1}, 2),
    ],
)
def test_by_hand_clean_is_only_what_was_looked_at_whole(changes: dict[str, Any], code: int) -> None:
    assert judge_by_hand({**CLEAN, **changes})[0] == code


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("1: fd[10]: OK", Answer()),
        ("2: fd[10]: Win.Test.EICAR_HDB-1 FOUND", Answer(signature="Win.Test.EICAR_HDB-1")),
        ("3: fd[10]: Can't allocate memory ERROR", Answer(error="Can't allocate memory")),
        ("4: fd[10]: ]: OK FOUND", Answer(error="OK FOUND")),
        ("COMMAND READ TIMED OUT", Answer(error="no answer")),
        ("", Answer(error="no answer")),
    ],
)
def test_what_clamd_says(reply: str, answer: Answer) -> None:
    if reply.startswith("4"):
        # Names of signatures hold neither brackets nor blanks.
        assert read(reply) != Answer()
    else:
        assert read(reply) == answer


def test_what_was_looked_at_only_in_part_is_no_find() -> None:
    assert read("1: fd[1]: Heuristics.Limits.Exceeded.MaxFileSize FOUND").is_partial
