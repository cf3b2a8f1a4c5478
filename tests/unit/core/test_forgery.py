"""A clever technician writes entries by hand, with nothing but his own key: none of it opens the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from lab_tool.canonical import dump
from lab_tool.core.change_state import ChangeState, all_changes, get_change
from lab_tool.core.document import APPROVE_NAMESPACE, REJECT_NAMESPACE, REQUEST_NAMESPACE, Change
from lab_tool.core.people_watch import record_people
from lab_tool.errors import LabError, RefusedError, VerificationError
from lab_tool.log.entry import Subject
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS, Verb
from lab_tool.school.model import Key
from lab_tool.signature import public_line, sign
from tests.support.office import Office, key_of


def approval(state: ChangeState, signer: str, approver: str = "head", **other: Any) -> Mapping[str, Any]:
    """The body of an approval of `state` by `approver`, signed with the key of `signer`."""
    made = sign(state.change.signed, key_of(signer), other.pop("namespace", APPROVE_NAMESPACE))
    return {"approver": approver, "signature": made, "key": public_line(key_of(approver)), **other}


def requested(office: Office, change: Change, signer: str = "tech", **other: Any) -> str:
    """A request written by hand, signed with the key of `signer`; its id."""
    body = {
        "requester": change.requester,
        "change": change.as_json(),
        "plan": office.plan(*change.hosts).as_json(),
        "signature": sign(change.signed, key_of(signer), REQUEST_NAMESPACE),
        "key": public_line(key_of(change.requester)),
        **other,
    }
    record_people(office.settings, office.school, office.clock)
    subject = Subject(change.id, "", change.hosts, change.rooms)
    LogStore(office.settings.log, office.clock).append(
        actor=change.requester, kind="change.requested", subject=subject, body=body
    )
    return change.id


def refused(office: Office, state: ChangeState) -> str:
    """The gate's words."""
    with pytest.raises(RefusedError) as error:
        office.gate(state)
    return error.value.what


class TestApprovals:
    def test_signed_with_the_wrong_key(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "head", approval(state, signer="tech"))
        assert "carries a signature that is not head's over this change" in refused(office, state)

    def test_in_the_name_of_the_director_with_his_own_key_named(self, office: Office) -> None:
        state = office.request()
        body = approval(state, signer="tech", key=public_line(key_of("tech")))
        office.append("change.approved", state, "head", body)
        assert "signed with a key that is not head's" in refused(office, state)

    def test_in_his_own_name(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "tech", approval(state, signer="tech", approver="tech"))
        assert "was requested by tech: somebody else has to approve it" in refused(office, state)

    def test_by_somebody_who_may_not(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "guest", approval(state, signer="guest", approver="guest"))
        assert "guest may not approve patch at all" in refused(office, state)

    def test_by_a_service(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "timer", approval(state, signer="timer", approver="timer"))
        assert "timer is a service" in refused(office, state)

    def test_taken_from_another_change(self, office: Office) -> None:
        good = office.request(why="Harmless")
        office.approve(good)
        state = office.request(why="Not harmless")
        body = office.state(good).approvals[0].entry.body
        office.append("change.approved", state, "head", body)
        assert "carries a signature that is not head's over this change" in refused(office, state)

    @pytest.mark.parametrize("namespace", [REQUEST_NAMESPACE, REJECT_NAMESPACE, "lab-run", "file"])
    def test_signed_for_something_else(self, office: Office, namespace: str) -> None:
        state = office.request()
        office.append("change.approved", state, "head", approval(state, signer="head", namespace=namespace))
        assert "carries a signature that is not head's" in refused(office, state)

    def test_swapped_between_two_approvers(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "second", approval(state, signer="head", approver="second"))
        assert "carries a signature that is not second's" in refused(office, state)

    def test_actor_and_approver_differ(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "tech", approval(state, signer="head"))
        assert "is by nobody, who is not in inventory/people.yml" in refused(office, state)

    @pytest.mark.parametrize("signature", ["", "x", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n"])
    def test_with_rubbish_for_a_signature(self, office: Office, signature: str) -> None:
        state = office.request()
        office.append("change.approved", state, "head", approval(state, signer="head", signature=signature))
        assert "carries a signature that is not head's" in refused(office, state)

    def test_what_is_shown_of_them_is_plain(self, office: Office) -> None:
        state = office.request()
        body = {"approver": "x\x1b[2K", "signature": "", "key": ""}
        office.append("change.approved", state, "x\x1b[2K", body)
        office.append("change.rejected", state, "y", {"person": "y", "why": "a\u202eb"})
        seen = office.state(state)
        assert (seen.approvals[0].person, seen.rejections[0].why) == ("?", "?")
        office.append("change.approved", replace(state, id="c-\x1b[2K"), "x", {})
        assert list(all_changes(office.settings)[1]) == ["'c-\\x1b[2K'"]

    def test_with_nothing_in_it(self, office: Office) -> None:
        state = office.request()
        office.append("change.approved", state, "head", {})
        assert "is by nobody" in refused(office, state)

    def test_with_a_key_that_people_yml_got_only_afterwards(self, office: Office) -> None:
        state = office.request()
        body = approval(state, signer="mine", key=public_line(key_of("mine")))
        office.append("change.approved", state, "head", body)
        keys = (*office.school.people["head"].keys, Key(public_line(key_of("mine")), None, None))
        office.with_person("head", keys=keys)
        assert "a key that was not known to be head's at that time" in refused(office, state)
        # Using `lab` first makes the key known, and leaves a record of whose it became and when.
        assert record_people(office.settings, office.school, office.clock)
        assert "a key that was not known to be head's at that time" in refused(office, state)

    def test_with_a_key_that_people_yml_holds_no_longer(self, office: Office) -> None:
        state = office.request()
        before = office.school
        keys = (*office.school.people["head"].keys, Key(public_line(key_of("mine")), None, None))
        office.with_person("head", keys=keys)
        office.approve(state, by="mine")
        office.school = before
        assert "signed with a key that is not head's" in refused(office, state)
        assert office.kinds("people.") == ["people.changed", "people.changed"]

    def test_with_one_key_under_two_names(self, office: Office) -> None:
        """The inventory refuses this; the gate does not rely on it."""
        keys = (*office.school.people["head"].keys, Key(public_line(key_of("tech")), None, None))
        office.with_person("head", keys=keys)
        state = office.request()
        body = approval(state, signer="tech", key=public_line(key_of("tech")))
        office.append("change.approved", state, "head", body)
        assert "was requested by tech: somebody else" in refused(office, state)


class TestRequests:
    def test_in_the_name_of_another_to_approve_it_himself(self, office: Office) -> None:
        """`head` may approve, so `head` writes a request that says `tech`."""
        change = replace(office.request().change, why="In his name")
        state = get_change(office.settings, requested(office, change, signer="head"))
        with pytest.raises(RefusedError, match=r"the request of c-.* carries a signature that is not tech's"):
            office.approve(state, by="head")
        office.append("change.approved", state, "head", approval(state, signer="head"))
        assert "the request of" in refused(office, state)

    def test_for_longer_than_anybody_may(self, office: Office) -> None:
        now = office.clock()
        change = replace(office.request().change, requested=now, expires=now + timedelta(days=4000))
        state = get_change(office.settings, requested(office, change))
        with pytest.raises(RefusedError, match="would count for more than 90 days"):
            office.approve(state)
        office.append("change.approved", state, "head", approval(state, signer="head"))
        assert "would count for more than 90 days" in refused(office, state)

    def test_dated_later_than_they_were_made(self, office: Office) -> None:
        later = office.clock() + timedelta(days=1000)
        change = replace(office.request().change, requested=later, expires=later + timedelta(days=5))
        state = get_change(office.settings, requested(office, change))
        assert "would count for more than 90 days" in refused(office, state)

    def test_without_an_end(self, office: Office) -> None:
        change = replace(office.request().change, expires=None)
        state = get_change(office.settings, requested(office, change))
        assert "would count for more than 90 days" in refused(office, state)

    def test_with_less_risk_than_the_verb_has(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        state = office.request()
        monkeypatch.setitem(cast(dict[str, Verb], VERBS), "patch", replace(VERBS["patch"], risk="high"))
        with pytest.raises(RefusedError, match="deputy may not approve patch of high risk"):
            office.approve(state, by="deputy")

    def test_of_another_log(self, office: Office) -> None:
        change = replace(office.request().change, origin="other.example/lab-log")
        state = get_change(office.settings, requested(office, change))
        assert "was requested in other.example/lab-log, and this is school.example/lab-log" in refused(office, state)

    def test_by_somebody_who_may_not(self, office: Office) -> None:
        change = replace(office.request().change, requester="guest")
        state = get_change(office.settings, requested(office, change, signer="guest"))
        with pytest.raises(RefusedError, match="guest may not request patch at all"):
            office.approve(state)

    def test_by_a_service_whose_key_lies_about(self, office: Office) -> None:
        change = replace(office.request().change, requester="timer")
        state = get_change(office.settings, requested(office, change, signer="timer"))
        with pytest.raises(RefusedError, match="timer is a service: changes are requested and approved by people"):
            office.approve(state)
        office.append("change.approved", state, "head", approval(state, signer="head"))
        assert "timer is a service" in refused(office, state)
        with pytest.raises(RefusedError, match="timer is a service"):
            office.request(by="timer")

    def test_with_anything_else_that_shows_otherwise_than_it_is(self, office: Office) -> None:
        """Nothing asks the plan of an emergency to be made anew, and it is shown to whoever approves it."""
        plan = replace(office.plan("a301-01"), excluded={"a301-02": "x\x1b[8m"})
        change = replace(
            office.request().change, emergency=True, expires=None, plan=plan.digest, hosts=plan.asked, why="Virus"
        )
        with pytest.raises(VerificationError, match=r"a character that can't be seen \(U\+001B\)"):
            get_change(office.settings, requested(office, change, plan=plan.as_json()))

    def test_of_an_emergency_to_have_it_approved_for_later(self, office: Office) -> None:
        change = replace(office.request().change, emergency=True, expires=None)
        state = get_change(office.settings, requested(office, change))
        office.append("change.approved", state, "head", approval(state, signer="head"))
        assert "was an emergency" in refused(office, state)

    @pytest.mark.parametrize(
        "why", ["ok\u202e dab", "ok\x1b[2K", "a\nb", "zero\u200bwidth", "\ufeffx", "\ue000", " ok"]
    )
    def test_with_a_reason_that_shows_otherwise_than_it_is(self, office: Office, why: str) -> None:
        change = replace(office.request().change, why=why)
        with pytest.raises(VerificationError, match="its document can't be trusted"):
            get_change(office.settings, requested(office, change))


class TestDocuments:
    def edited(self, office: Office, state: ChangeState, **fields: Any) -> None:
        """Rewrite the log so that the document in the request says something else."""
        path = office.settings.log / "entries.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        for entry in lines:
            if entry["kind"] == "change.requested" and entry["subject"]["change"] == state.id:
                entry["body"]["change"].update(fields)
        path.write_bytes(b"".join(dump(entry) + b"\n" for entry in lines))

    @pytest.mark.parametrize(
        "fields",
        [
            {"why": "Something else"},
            {"hosts": ["a301-01"]},
            {"rooms": ["a301", "a302"]},
            {"requester": "second"},
            {"plan": "0" * 64},
            {"expires": "2099-01-01T00:00:00.000000Z"},
            {"more": 1},
            {"v": 2},
            {"emergency": 1},
            {"window": {"from": "never", "to": "never"}},
            {"standing": {"weekly": "Mon 00:00-Mon 00:00", "time_zone": "Nowhere", "last_day": "x"}},
            {"why": None},
        ],
    )
    def test_edited_in_the_log(self, office: Office, fields: dict[str, Any]) -> None:
        state = office.request()
        office.approve(state)
        self.edited(office, state, **fields)
        with pytest.raises(VerificationError) as error:
            office.gate(state)
        assert state.id in error.value.what
        assert error.value.next_command == "lab log verify"

    def test_the_others_are_still_listed(self, office: Office) -> None:
        good, bad = office.request(), office.request(why="Another")
        self.edited(office, bad, why="Something else")
        states, damaged = all_changes(office.settings)
        assert [state.id for state in states] == [good.id]
        assert list(damaged) == [bad.id]

    def test_two_requests_of_one_id(self, office: Office) -> None:
        state = office.request()
        office.append("change.requested", state, "tech", state.request.entry.body)
        with pytest.raises(VerificationError, match="2 requests have this id"):
            get_change(office.settings, state.id)

    def test_a_plan_for_more_than_the_document_says(self, office: Office) -> None:
        wide = office.plan()
        change = replace(office.request().change, hosts=("a301-01",), plan=wide.digest)
        identity = requested(office, change, plan=wide.as_json())
        with pytest.raises(VerificationError, match="its plan is not for what its document asks"):
            get_change(office.settings, identity)

    def test_another_plan_under_the_digest(self, office: Office) -> None:
        change = office.request().change
        plan = office.plan("a301-01").as_json()
        identity = requested(office, replace(change, why="Other"), plan=plan)
        with pytest.raises(VerificationError, match="this is not the plan"):
            get_change(office.settings, identity)

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "c-1f2e3d4c5b/..", "c-1F2E3D4C5B", "c-1f2e3d4c5b\n", "", "*", "c-1f2e3d4c5"]
    )
    def test_names_that_are_no_ids(self, office: Office, name: str) -> None:
        with pytest.raises(LabError, match="no change is named"):
            get_change(office.settings, name)

    def test_an_id_nobody_knows(self, office: Office) -> None:
        with pytest.raises(LabError, match="there is no change c-0000000000"):
            get_change(office.settings, "c-0000000000")
