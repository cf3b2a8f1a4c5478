"""The outcome of a PC from what was read back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab_tool.plugins.module_utils.lab_patch.verdict import Circumstances, Reading, judge

GOOD = Reading(
    pending=[],
    kept_back=[],
    broken=[],
    unfinished={},
    has_scope=True,
    lists_age=60,
    expired=[],
    restarts_known=True,
    reboot=[],
)
REAL = Circumstances(check=False, failure="", deferred="", reboot_refused="", rebooted=False)
CHECK = replace(REAL, check=True)


def test_ok_is_up_to_date_and_running_what_is_installed() -> None:
    assert judge(GOOD, REAL) == ("ok", "")


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        (replace(GOOD, pending=["a"]), "1 update still pending: a"),
        (replace(GOOD, pending=list("gfedcba")), "7 updates still pending: a, b, c, d, e and 2 more"),
        (replace(GOOD, pending=["a"], kept_back=["a"]), "kept back, since it would remove or move something else: a"),
        (replace(GOOD, broken=["a"], kept_back=["b"]), "installed without what they need: a"),
        (replace(GOOD, unfinished={"a": "half-configured"}), "dpkg is not finished with a (half-configured)"),
        (replace(GOOD, lists_age=-1), "the package lists were never fetched completely"),
        (replace(GOOD, lists_age=200_000), "the package lists are 55 hours old"),
        (replace(GOOD, expired=["a_InRelease"]), "expired package lists: a_InRelease"),
        (replace(GOOD, has_scope=False), "no source of updates in scope is set up, so nothing can be said about"),
        (replace(GOOD, restarts_known=False), "needrestart did not say which services run from replaced files"),
    ],
)
def test_failed(reading: Reading, says: str) -> None:
    outcome, reason = judge(reading, REAL)
    assert outcome == "failed"
    assert reason.startswith(says)


def test_a_reboot_that_is_due_is_deferred_with_why_and_why_not() -> None:
    due = replace(GOOD, reboot=["asked for by linux-image-1"])
    assert judge(due, replace(REAL, reboot_refused="patch_reboot is never")) == (
        "deferred",
        "reboot required: asked for by linux-image-1 (patch_reboot is never)",
    )
    assert judge(due, replace(REAL, rebooted=True)) == (
        "failed",
        "reboot required: asked for by linux-image-1 (even after one)",
    )


def test_a_reboot_counts_only_once_nothing_is_pending() -> None:
    assert judge(replace(GOOD, reboot=["x"], pending=["a"]), REAL)[0] == "failed"


def test_a_failure_is_never_hidden_by_anything_read_back() -> None:
    assert judge(GOOD, replace(REAL, failure="it broke", deferred="somebody is logged in")) == ("failed", "it broke")
    assert judge(GOOD, replace(CHECK, failure="it broke")) == ("failed", "it broke")


def test_a_pc_left_alone_is_deferred_whatever_its_state() -> None:
    left_alone = replace(REAL, deferred="somebody is logged in")
    assert judge(replace(GOOD, pending=["a"], lists_age=-1), left_alone) == ("deferred", "somebody is logged in")


def test_a_rehearsal_says_what_would_be() -> None:
    assert judge(GOOD, CHECK) == ("ok", "")
    assert judge(replace(GOOD, pending=["a", "b"]), CHECK) == ("ok", "2 updates would be installed")
    broken = replace(GOOD, pending=["a"], unfinished={"b": "unpacked"}, reboot=["asked for by c"], restarts_known=False)
    assert judge(broken, CHECK) == (
        "ok",
        "dpkg would finish b (unpacked); 1 update would be installed; a restart or reboot is due: asked for by c",
    )


def test_a_rehearsal_forgives_nothing_that_would_stop_the_real_run() -> None:
    assert judge(replace(GOOD, kept_back=["a"], pending=["a"]), CHECK)[0] == "failed"
    assert judge(replace(GOOD, has_scope=False), CHECK)[0] == "failed"
