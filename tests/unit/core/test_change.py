"""Requests: what they hold, who may make them, what becomes of them; and the record of people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from lab_tool.canonical import dump
from lab_tool.core.change import request_emergency
from lab_tool.core.change_state import all_changes
from lab_tool.core.document import REQUEST_NAMESPACE, read_change
from lab_tool.core.people_watch import record_people
from lab_tool.core.plain_text import reason
from lab_tool.errors import LabError, LogWriteError, RefusedError, UsageError
from lab_tool.log.query import Query, find
from lab_tool.school.model import Key
from lab_tool.signature import public_line, signer_of
from tests.support.office import START, Office, key_of, room


class TestDocument:
    def test_the_bytes_that_are_signed(self, office: Office) -> None:
        state = office.request(rooms=("a301",), hosts=("a302-01",), why="  开学前  ", risk="medium")
        signed = state.change.signed
        assert json.loads(signed) == {
            "v": 1,
            "type": "change",
            "origin": "school.example/lab-log",
            "verb": "patch",
            "rooms": ["a301", "a302"],
            "hosts": ["a301-01", "a301-02", "a301-03", "a301-04", "a302-01"],
            "plan": state.plan.digest,
            "why": "开学前",
            "risk": "medium",
            "requester": "tech",
            "requested": "2026-11-24T10:20:00.001000Z",
            "expires": "2026-12-08T10:20:00.001000Z",
            "window": None,
            "standing": None,
            "emergency": False,
            "settings": {},
        }
        assert b"\n" not in signed
        assert signed.isascii()
        assert dump(json.loads(signed)) == signed
        assert read_change(json.loads(signed)) == state.change

    def test_is_signed_by_the_requester(self, office: Office) -> None:
        state = office.request()
        entry = state.request.entry
        assert (entry.actor, entry.kind, entry.subject.change) == ("tech", "change.requested", state.id)
        assert entry.subject.rooms == ("a301",)
        assert entry.subject.rules == ("B2",)
        candidates = [("tech", Key(entry.body["key"], None, None))]
        assert signer_of(dump(entry.body["change"]), entry.body["signature"], REQUEST_NAMESPACE, candidates, START)

    def test_the_plan_is_in_the_log_and_beside_it(self, office: Office) -> None:
        state = office.request()
        assert state.request.entry.body["plan"] == state.plan.as_json()
        assert (office.settings.state / "plans" / f"{state.plan.digest}.json").exists()

    def test_a_window(self, office: Office) -> None:
        change = office.request(window="2026-11-28 20:00/2026-11-29 06:00").change
        assert change.window
        assert change.as_json()["window"] == {
            "from": "2026-11-28T12:00:00.000000Z",
            "to": "2026-11-28T22:00:00.000000Z",
        }
        assert change.expires == change.window.closes

    def test_a_prepared_procedure(self, office: Office) -> None:
        change = office.request(standing="周六 20:00-周日 06:00", last_day=date(2027, 1, 31)).change
        standing = {"weekly": "Sat 20:00-Sun 06:00", "time_zone": "Asia/Shanghai", "last_day": "2027-01-31"}
        assert change.as_json()["standing"] == standing
        assert change.expires == datetime(2027, 1, 31, 16, 0, tzinfo=UTC)

    def test_settings(self, office: Office) -> None:
        state = office.request(overrides=("patch_scope=full",))
        assert state.change.as_json()["settings"] == {"patch_scope": "full"}
        office.approve(state)
        assert office.gate(state)
        assert state.overrides == {"patch_scope": "full"}


class TestRefusedRequests:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"verb": "patsch"}, "there is no verb 'patsch'"),
            ({"rooms": ()}, "no room and no host was named"),
            ({"rooms": ("a999",)}, "there is no room"),
            ({"rooms": ("all",)}, "there is no room"),
            ({"hosts": ("*",)}, "there is no host"),
            ({"why": "  "}, "--why holds nothing"),
            ({"why": "x" * 501}, "more than 500 characters"),
            ({"why": "two\nlines"}, r"can't be seen \(U\+000A\)"),
            ({"why": "\x1b[31mred"}, r"\(U\+001B\)"),
            ({"why": "abc\u202edef"}, r"\(U\+202E\)"),
            ({"why": "a\u200bb"}, r"\(U\+200B\)"),
            ({"why": "a\u3164b"}, r"\(U\+3164\)"),
            ({"why": "a\udc80b"}, r"\(U\+DC80\)"),
            ({"window": "2026-11-20 20:00/2026-11-21 06:00"}, "is over"),
            ({"window": "2027-11-20 20:00/2027-11-21 06:00"}, "opens in more than 90 days"),
            ({"window": "2026-12-20 20:00/2026-12-21 06:00", "expires": 3}, "opens only after the change expires"),
            ({"window": "2026-11-28 20:00/2026-11-29 06:00", "standing": "Sat 20:00-Sun 06:00"}, "give one of them"),
            ({"standing": "Sat 20:00-Sun 06:00"}, "--standing needs --last-day"),
            ({"last_day": date(2027, 1, 31)}, "--last-day goes with --standing"),
            ({"standing": "Sat 20:00-Sun 06:00", "last_day": date(2026, 11, 23)}, "lies between today and 365 days"),
            ({"standing": "Sat 20:00-Sun 06:00", "last_day": date(2028, 1, 1)}, "lies between today and 365 days"),
            ({"standing": "x", "last_day": date(2027, 1, 1)}, "no weekly window"),
            (
                {"standing": "Sat 20:00-Sun 06:00", "last_day": date(2027, 1, 1), "expires": 3},
                "--expires is for one run",
            ),
            (
                {"standing": "Sat 20:00-Sun 06:00", "last_day": date(2027, 1, 1), "overrides": ("patch_scope=full",)},
                "--set is for one run",
            ),
            ({"expires": 0}, "--expires takes 1 to 90 days"),
            ({"expires": 91}, "--expires takes 1 to 90 days"),
            ({"overrides": ("ansible_user=root",)}, "takes no setting 'ansible_user'"),
        ],
    )
    def test_what_makes_no_sense(self, office: Office, fields: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError, match=words):
            office.request(**fields)
        assert office.kinds() == []

    def test_risk_is_only_raised(self, office: Office) -> None:
        from lab_tool.rules import VERBS

        assert VERBS["image"].risk == "high"
        with pytest.raises(UsageError, match="image has at least high risk; --risk only raises it"):
            office.request(verb="image", risk="medium")

    def test_those_not_entitled(self, office: Office) -> None:
        with pytest.raises(RefusedError, match="guest may not request patch at all"):
            office.request(by="guest")
        office.with_rooms(room("a301", 1), room("b101", 1))
        with pytest.raises(RefusedError, match="tech may not request patch in b101"):
            office.request(rooms=("b101",))
        with pytest.raises(RefusedError, match="belongs to nobody"):
            office.request(by="stranger")

    def test_a_log_that_can_t_be_written(self, office: Office) -> None:
        office.settings.log.mkdir(parents=True)
        office.settings.log.chmod(0o777)
        with pytest.raises(LogWriteError, match="others may write to it"):
            office.request()


class TestWhatBecomesOfThem:
    def test_from_request_to_done(self, office: Office) -> None:
        state = office.request()
        assert state.status(office.now) == "requested"
        office.approve(state)
        assert office.state(state).status(office.now) == "approved"
        office.ran(state, ended=False)
        assert office.state(state).status(office.now) == "running"
        office.append("run.interrupted", state, "tech", {}, "r-20261124T102030-1f2e")
        assert office.state(state).status(office.now) == "done"
        assert office.state(state).status(office.now + timedelta(days=99)) == "done"

    def test_expired(self, office: Office) -> None:
        state = office.request(expires=1)
        office.approve(state)
        assert office.state(state).status(office.now + timedelta(days=1)) == "expired"

    def test_a_prepared_procedure_stays_approved(self, office: Office) -> None:
        state = office.request(standing="Sat 20:00-Sun 06:00", last_day=date(2027, 1, 31))
        office.approve(state)
        office.ran(state)
        assert office.state(state).status(office.now) == "approved"
        assert office.state(state).status(datetime(2027, 1, 31, 16, 0, tzinfo=UTC)) == "expired"

    def test_an_emergency(self, office: Office) -> None:
        why = "PC infected"
        state = request_emergency(office.settings, office.school, office.plan(), why, key_of("head"), office.clock)
        assert state.emergency
        assert state.change.why == why
        assert state.status(office.now + timedelta(days=999)) == "overdue"
        with pytest.raises(UsageError, match="--emergency holds nothing"):
            request_emergency(office.settings, office.school, office.plan(), " ", key_of("head"), office.clock)

    def test_all_of_them_in_order(self, office: Office) -> None:
        asked = [office.request(why=f"Number {number}") for number in range(3)]
        office.approve(asked[1])
        states, damaged = all_changes(office.settings)
        assert [state.id for state in states] == [state.id for state in asked]
        assert damaged == {}

    def test_runs_of_no_change_are_nobody_s(self, office: Office) -> None:
        state = office.request()
        blank = replace(state, id="")
        office.append("run.started", blank, "os:root", {"check": False, "outside": True}, "r-20261124T102030-1f2e")
        assert [state.id for state in all_changes(office.settings)[0]] == [state.id]


class TestPeople:
    def test_are_recorded_when_they_change(self, office: Office) -> None:
        first = record_people(office.settings, office.school, office.clock)
        assert first
        assert first.actor == "lab"
        assert set(first.body["people"]) == set(office.school.people)
        assert record_people(office.settings, office.school, office.clock) is None
        keys = (*office.school.people["head"].keys, Key(public_line(key_of("head2")), date(2026, 12, 1), None))
        office.with_person("head", keys=keys)
        office.without("guest")
        second = record_people(office.settings, office.school, office.clock)
        assert second
        assert second.body["changes"] == ["guest is gone", "head: keys"]
        assert second.body["people"]["head"]["keys"][1] == {
            "key": public_line(key_of("head2")),
            "first_day": "2026-12-01",
            "last_day": None,
        }

    def test_comments_of_keys_and_names_don_t_matter(self, office: Office) -> None:
        record_people(office.settings, office.school, office.clock)
        key = office.school.people["head"].keys[0]
        office.with_person("head", keys=(Key(key.line + " a-comment", None, None),))
        assert record_people(office.settings, office.school, office.clock) is None

    def test_before_every_decision(self, office: Office) -> None:
        state = office.request()
        office.without("guest")
        office.approve(state)
        office.with_person("timer", keep=True)
        office.reject(state)
        kinds = [entry.kind for entry in find(office.settings.log, Query())]
        assert kinds == [
            "people.changed",
            "change.requested",
            "people.changed",
            "change.approved",
            "people.changed",
            "change.rejected",
        ]


@pytest.mark.parametrize("text", ["为期末考试做准备。", "Größe — 10 %", "ünïcode é", "a" * 500])
def test_plain_words_are_plain(text: str) -> None:
    assert reason(f" {text} ", "--why") == text


def test_errors_are_for_people(office: Office) -> None:
    with pytest.raises(LabError) as error:
        office.gate(office.request())
    assert error.value.next_command.startswith("lab change approve c-")
    assert error.value.exit_code == 5
