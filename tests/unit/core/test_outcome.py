"""Exactly one outcome a host, and never a better one than what was read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.core.outcome import OUTCOMES, outcomes, reach
from lab_tool.log.entry import Entry, Subject

HOST = "a301-01"


def entry(kind: str, body: dict[str, Any], *hosts: str) -> Entry:
    """An entry of a run; number, time and hashes play no part here."""
    return Entry(
        0,
        "",
        "li_na",
        kind,
        Subject(run="r", hosts=hosts),
        {"task": "T", "place": "p:1", "action": "apt", **body},
        "",
        "",
    )


CHANGED = entry("task.changed", {"result": {}}, HOST)
FAILED = entry("task.failed", {"ignored": False, "changed": False, "result": {"msg": "no room"}}, HOST)
IGNORED = entry("task.failed", {"ignored": True, "changed": False, "result": {}}, HOST)
HALF_DONE = entry("task.failed", {"ignored": True, "changed": True, "result": {}}, HOST)
GATE = entry("task.finished", {"action": "lab_recorded", "results": {"ok": [HOST]}})
SKIPPED = entry("task.finished", {"results": {"skipped": [HOST]}})
BEGUN = entry("task.started", {"task": "Clean up"})
UNREACHABLE = entry("task.unreachable", {"reason": "timed out"}, HOST)
NOTHING = entry("task.finished", {"results": {"ok": [HOST]}})
GOOD = entry("evidence.read", {"evidence": {"outcome": "ok", "values": {"pending": 0}}}, HOST)
BAD = entry("evidence.read", {"evidence": {"outcome": "failed", "reason": "pending 3"}}, HOST)
LATER = entry("evidence.read", {"evidence": {"outcome": "deferred", "reason": "user logged in"}}, HOST)
ODD = entry("evidence.read", {"evidence": {"outcome": "splendid"}}, HOST)


def read(verb: str, outcome: str, reason: str = "") -> Entry:
    """Evidence of one of several verbs."""
    evidence = {"verb": verb, "outcome": outcome, "reason": reason, "values": {}}
    return entry("evidence.read", {"evidence": evidence}, HOST)


@pytest.mark.parametrize(
    ("entries", "outcome", "reason"),
    [
        ([read("patch", "ok"), read("backup", "ok")], "ok", ""),
        ([read("patch", "ok")], "failed", "the outcome of backup was not read back"),
        ([read("patch", "ok"), read("backup", "failed", "full")], "failed", "backup: full"),
        ([read("patch", "deferred", "in use"), read("backup", "ok")], "deferred", "patch: in use"),
        ([read("patch", "deferred", "in use"), read("backup", "failed", "full")], "failed", "backup: full"),
        ([CHANGED, read("patch", "ok"), read("backup", "ok", "1 file")], "changed", "backup: 1 file"),
        ([], "missing", "no result came from it"),
    ],
)
def test_of_several_verbs_each_has_to_be_read_back(entries: list[Entry], outcome: str, reason: str) -> None:
    result = outcomes([HOST], {}, entries, ("patch", "backup"))[HOST]
    assert (result.outcome, result.reason) == (outcome, reason)


def test_evidence_of_another_verb_proves_nothing() -> None:
    result = outcomes([HOST], {}, [read("patch", "ok")], ("lockdown",))[HOST]
    assert (result.outcome, result.reason) == ("failed", "the outcome was not read back")


@pytest.mark.parametrize(
    ("entries", "outcome", "reason"),
    [
        ([], "missing", "no result came from it"),
        ([NOTHING], "failed", "the outcome was not read back"),
        ([CHANGED], "failed", "the outcome was not read back"),
        ([GOOD], "ok", ""),
        ([CHANGED, GOOD], "changed", ""),
        ([CHANGED, BAD], "failed", "pending 3"),
        ([LATER], "deferred", "user logged in"),
        ([ODD], "failed", "evidence with an unknown outcome: splendid"),
        ([FAILED], "failed", "T (p:1): no room"),
        ([FAILED, GOOD], "ok", ""),
        ([GOOD, FAILED], "failed", "T (p:1): no room"),
        ([IGNORED, GOOD], "ok", ""),
        ([HALF_DONE, GOOD], "changed", ""),
        ([GATE, SKIPPED], "missing", "no result came from it"),
        ([GOOD, BEGUN], "failed", "cut off in: Clean up"),
        ([BEGUN, GOOD], "ok", ""),
        ([BAD, FAILED], "failed", "pending 3"),
        ([UNREACHABLE], "unreachable", "timed out"),
        ([CHANGED, GOOD, UNREACHABLE], "unreachable", "timed out"),
    ],
)
def test_the_outcome_follows_from_the_entries(entries: list[Entry], outcome: str, reason: str) -> None:
    result = outcomes([HOST], {}, entries)[HOST]
    assert (result.outcome, result.reason) == (outcome, reason)


def test_a_seat_out_of_order_is_accounted_for() -> None:
    result = outcomes([HOST], {"a301-02": "out of order: fan"}, [GOOD])
    assert {host: outcome.outcome for host, outcome in result.items()} == {HOST: "ok", "a301-02": "deferred"}


@given(st.lists(st.sampled_from([CHANGED, FAILED, IGNORED, UNREACHABLE, NOTHING, GOOD, BAD, LATER, ODD])))
def test_every_host_has_one_outcome_and_none_is_well_without_evidence(entries: list[Entry]) -> None:
    result = outcomes([HOST, "a301-02"], {}, entries)
    assert set(result) == {HOST, "a301-02"}
    assert all(outcome.outcome in OUTCOMES for outcome in result.values())
    assert result["a301-02"].outcome == "missing"
    if GOOD not in entries:
        assert result[HOST].outcome not in ("ok", "changed")


def test_a_run_cut_off_tells_who_was_reached_and_who_may_have_been() -> None:
    hosts = [HOST, "a301-02"]
    begun = entry("task.started", {"task": "Upgrade"})
    cut = [begun, CHANGED]
    told = reach(hosts, cut, outcomes(hosts, {}, cut))
    assert told == {"reached": [HOST], "in_doubt": ["a301-02"], "not_reached": [], "task": "Upgrade"}


def test_who_was_reached_before_may_have_been_acted_on_again() -> None:
    cut = [CHANGED, NOTHING, entry("task.started", {"task": "Upgrade"})]
    told = reach([HOST], cut, outcomes([HOST], {}, cut))
    assert (told["reached"], told["in_doubt"]) == ([HOST], [HOST])


def test_a_run_cut_off_between_tasks_leaves_nobody_in_doubt() -> None:
    hosts = [HOST, "a301-02"]
    cut = [entry("task.started", {}), CHANGED, NOTHING]
    told = reach(hosts, cut, outcomes(hosts, {}, cut))
    assert told == {"reached": [HOST], "in_doubt": [], "not_reached": ["a301-02"], "task": ""}


def test_a_run_cut_off_at_the_gate_reached_nobody() -> None:
    cut = [entry("task.started", {"action": "lab_recorded", "task": "Recorded"})]
    told = reach([HOST], cut, outcomes([HOST], {}, cut))
    assert told == {"reached": [], "in_doubt": [], "not_reached": [HOST], "task": "Recorded"}
