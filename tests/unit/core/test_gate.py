"""Each refusal of the gate, with its words; and what is not refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from lab_tool.clock import utc_text
from lab_tool.core.change_state import ChangeState
from lab_tool.core.gate import find_standing, require_grant, require_runnable
from lab_tool.core.orders import Desk, Wish, make_order
from lab_tool.errors import RefusedError
from lab_tool.school.model import Grant, Key, Risk
from lab_tool.signature import public_line
from tests.support.office import PATCHING, ROOMS, Office, key_of, room

SATURDAY = datetime(2026, 11, 28, 13, 0, tzinfo=UTC)  # 21:00 in Shanghai
STANDING: dict[str, Any] = {"standing": "Sat 20:00-Sun 06:00", "last_day": date(2027, 1, 31)}


def refusal(office: Office, state: ChangeState, resumes: str = "") -> str:
    """What the gate says."""
    with pytest.raises(RefusedError) as refused:
        office.gate(state, resumes)
    return refused.value.what


def test_an_approved_change_runs(office: Office) -> None:
    state = office.request()
    office.approve(state)
    approval = office.gate(state)
    assert approval.approver == "head"
    assert approval.key == public_line(key_of("head"))
    entry = office.state(state).approvals[0].entry
    assert (approval.entry, approval.entry_hash) == (entry.seq, entry.hash)
    assert approval.as_json()["signature"] == approval.signature


def test_without_approval_nothing_runs(office: Office) -> None:
    state = office.request()
    assert refusal(office, state) == f"{state.id} is not approved"


def test_rejected(office: Office) -> None:
    state = office.request()
    office.approve(state)
    office.reject(state, by="second", why="Exams that day")
    assert refusal(office, state) == f"{state.id} was rejected by second: Exams that day"


def test_expired(office: Office) -> None:
    state = office.request(expires=2)
    office.approve(state)
    office.now += timedelta(days=2)
    assert f"{state.id} expired on Thu 2026-11-26 18:20" in refusal(office, state)


def test_run_once(office: Office) -> None:
    state = office.request()
    office.approve(state)
    office.ran(state)
    assert "has been run (r-20261124T102030-1f2e): an approval is for one run" in refusal(office, state)


def test_a_run_is_gone_on_with_under_the_same_approval(office: Office) -> None:
    state = office.request()
    office.approve(state)
    office.ran(state, "r-20261124T102030-0001")
    assert office.gate(state, resumes="r-20261124T102030-0001").approver == "head"
    assert "is no run of" in refusal(office, state, resumes="r-20261124T102030-9999")
    office.ran(state, "r-20261124T102030-0002")
    assert "was gone on with in r-20261124T102030-0002" in refusal(office, state, resumes="r-20261124T102030-0001")


def test_a_check_is_no_run(office: Office) -> None:
    state = office.request()
    office.approve(state)
    office.append("run.started", state, "tech", {"check": True}, "r-20261124T102030-0001")
    assert office.gate(state)


class TestWindow:
    def test_opens_later_and_closes(self, office: Office) -> None:
        state = office.request(window="2026-11-28 20:00/2026-11-29 06:00")
        office.approve(state)
        words = f"{state.id} fits, but its window opens Sat 2026-11-28 20:00 (to Sun 2026-11-29 06:00, Asia/Shanghai)"
        assert refusal(office, state) == words
        office.now = SATURDAY
        assert office.gate(state).closes == "2026-11-28T22:00:00.000000Z"
        office.now = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
        # It counts no longer than its window.
        assert "expired on Sun 2026-11-29 06:00" in refusal(office, state)


class TestMoved:
    def test_a_file_of_the_role(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        path = office.settings.project / "roles" / "patch" / "tasks" / "main.yml"
        path.write_text(path.read_text(encoding="utf-8") + "\n# more\n", encoding="utf-8")
        words = refusal(office, state)
        assert words == f"{state.id} was requested for another plan. Moved since: roles/patch/tasks/main.yml changed"

    def test_a_variable(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.variables["patch_scope"] = "full"
        (office.settings.inventory / "group_vars" / "all.yml").write_text("patch_scope: full\n", encoding="utf-8")
        words = refusal(office, state)
        assert "variables of a301-01, a301-02, a301-03, a301-04 (changed: inventory/group_vars/all.yml)" in words

    def test_the_address_of_a_host(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_rooms(room("a301", 4, a301_02={"address": "192.0.2.99"}), room("a302", 2))
        assert "ansible_host of a301-02 was 192.0.2.2, is 192.0.2.99" in refusal(office, state)

    def test_another_host_in_the_room(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_rooms(room("a301", 5), room("a302", 2))
        assert "new in a301: a301-05" in refusal(office, state)

    def test_a_host_that_broke(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_rooms(room("a301", 4, a301_02={"out_of_order": "no power"}), room("a302", 2))
        assert "Moved since: out of order: a301-02" in refusal(office, state)

    def test_what_does_not_run_does_not_matter(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        other = office.settings.project / "roles" / "unused" / "tasks"
        other.mkdir(parents=True)
        (other / "main.yml").write_text("[]\n", encoding="utf-8")
        office.with_rooms(room("a301", 4), room("a302", 3))
        assert office.gate(state)


class TestPeopleSince:
    def test_a_key_taken_out_takes_its_approvals_with_it(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_person("head", keys=(Key(public_line(key_of("head2")), None, None),))
        assert "signed with a key that is not head's in inventory/people.yml" in refusal(office, state)

    def test_a_key_with_a_last_day_keeps_them(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_person("head", keys=(Key(public_line(key_of("head")), None, date(2026, 11, 24)),))
        office.now += timedelta(days=1)
        assert office.gate(state).approver == "head"

    def test_a_key_that_did_not_count_that_day(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_person("head", keys=(Key(public_line(key_of("head")), None, date(2026, 11, 23)),))
        assert "a key of head that did not count on 2026-11-24" in refusal(office, state)

    def test_an_approver_who_left(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.without("head")
        assert "is by head, who is not in inventory/people.yml" in refusal(office, state)

    def test_an_approver_who_may_no_longer(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.with_person("head", approve=replace(PATCHING, up_to="low", verbs=frozenset({"backup"})))
        assert "head may not approve patch at all" in refusal(office, state)

    def test_a_requester_who_was_taken_out(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.without("tech")
        assert f"the request of {state.id} is by tech, who is not in" in refusal(office, state)

    def test_one_good_approval_is_enough(self, office: Office) -> None:
        state = office.request()
        office.approve(state, by="head")
        office.without("head")
        assert office.approve(state, by="second").already is False
        assert office.gate(state).approver == "second"


class TestGrant:
    def test_says_what_is_lacking(self, office: Office) -> None:
        people = office.school.people
        cases: tuple[tuple[str, set[str], Risk | None, str], ...] = (
            ("guest", {"a301"}, None, "guest may not approve patch at all (inventory/people.yml)"),
            ("deputy", {"a301", "a302"}, None, "deputy may not approve patch in a302 (inventory/people.yml)"),
            ("deputy", {"a301"}, "high", "deputy may not approve patch of high risk (only up to low)"),
        )
        for name, rooms, risk, words in cases:
            with pytest.raises(RefusedError) as refused:
                require_grant(people[name], ("approve",), "patch", frozenset(rooms), risk)
            assert refused.value.what.startswith(words)

    def test_any_of_several_will_do(self, office: Office) -> None:
        require_grant(office.school.people["timer"], ("request", "run"), "patch", frozenset({"a301"}))


class TestStanding:
    def approved(self, office: Office, **fields: Any) -> ChangeState:
        state = office.request(**{**STANDING, **fields})
        office.approve(state)
        return state

    def find(self, office: Office, *hosts: str) -> str:
        return find_standing(office.settings, office.school, office.plan(*hosts), office.now)[0].id

    def refusal(self, office: Office, *hosts: str) -> str:
        with pytest.raises(RefusedError) as refused:
            self.find(office, *hosts)
        return refused.value.what

    def test_in_its_window_again_and_again(self, office: Office) -> None:
        state = self.approved(office)
        for week in range(3):
            office.now = SATURDAY + timedelta(weeks=week)
            found, approval = find_standing(office.settings, office.school, office.plan(), office.now)
            assert (found.id, approval.approver) == (state.id, "head")
            assert approval.closes == utc_text(office.now.replace(hour=22, minute=0, second=0, microsecond=0))
            office.ran(state, f"r-20261128T10203{week}-1f2e")

    def test_by_its_id_too(self, office: Office) -> None:
        state = self.approved(office)
        office.now = SATURDAY
        assert office.gate(state).approver == "head"

    def test_outside_of_it_says_when(self, office: Office) -> None:
        state = self.approved(office)
        words = f"no standing approval lets patch run in a301 now. {state.id} fits, but its window opens Sat 2026-11-28"
        assert self.refusal(office).startswith(words)

    def test_there_is_none(self, office: Office) -> None:
        office.approve(office.request())
        assert self.refusal(office) == "no standing approval lets patch run in a301 now. there is none"

    def test_not_approved_rejected_over(self, office: Office) -> None:
        state = office.request(**STANDING)
        office.now = SATURDAY
        assert self.refusal(office).endswith(f"{state.id} is not approved")
        office.approve(state)
        office.now = datetime(2027, 1, 31, 16, 0, tzinfo=UTC)  # midnight in Shanghai
        assert f"{state.id} expired on Mon 2027-02-01 00:00" in self.refusal(office)

    def test_the_last_night_ends_with_the_last_day(self, office: Office) -> None:
        self.approved(office, last_day=date(2026, 11, 28))
        office.now = SATURDAY
        found = find_standing(office.settings, office.school, office.plan(), office.now)
        assert found[1].closes == "2026-11-28T16:00:00.000000Z"

    def test_a_part_of_the_room_and_a_new_machine(self, office: Office) -> None:
        state = self.approved(office)
        office.now = SATURDAY
        assert self.find(office, "a301-02") == state.id
        office.with_rooms(room("a301", 5, a301_01={"out_of_order": "dead"}), room("a302", 2))
        assert self.find(office) == state.id

    def test_not_beyond_its_rooms_and_hosts(self, office: Office) -> None:
        self.approved(office, rooms=(), hosts=("a301-01",))
        office.now = SATURDAY
        assert "Moved since: not in it: a301-02" in self.refusal(office, "a301-01", "a301-02")
        assert "not in it: a302-01" in self.refusal(office, "a301-01", "a302-01")
        assert self.refusal(office, "a302-01").endswith("there is none")

    def test_not_with_other_files(self, office: Office) -> None:
        self.approved(office)
        office.now = SATURDAY
        (office.settings.project / "playbooks" / "library").mkdir()
        (office.settings.project / "playbooks" / "library" / "lab_sessions.py").write_text("", encoding="utf-8")
        assert "Moved since: playbooks/library/lab_sessions.py is new" in self.refusal(office)

    def test_not_with_other_variables(self, office: Office) -> None:
        self.approved(office)
        office.now = SATURDAY
        office.variables["patch_scope"] = "full"
        assert "Moved since: variables of a301-01, a301-02" in self.refusal(office)

    def test_the_time_zone_is_the_one_that_was_signed(self, office: Office) -> None:
        self.approved(office)
        office.now = SATURDAY - timedelta(hours=6)
        office.school = replace(office.school, time_zone="Pacific/Auckland")
        assert "its window opens Sat 2026-11-28 20:00 (to Sun 2026-11-29 06:00, Asia/Shanghai)" in self.refusal(office)


class TestEmergency:
    def test_gives_no_right_to_run_again(self, office: Office) -> None:
        from lab_tool.core.change import request_emergency

        state = request_emergency(
            office.settings, office.school, office.plan(), "PC infected", key_of("head"), office.clock
        )
        assert office.state(state).status(office.now) == "overdue"
        assert "was an emergency" in refusal(office, state)
        office.ran(state)
        office.now += timedelta(days=400)
        with pytest.raises(RefusedError, match="requested by head: somebody else"):
            office.approve(state, by="head")
        office.approve(state, by="second")
        assert office.state(state).status(office.now) == "done"
        assert "was an emergency" in refusal(office, state)

    def test_only_for_those_entitled(self, office: Office) -> None:
        from lab_tool.core.change import request_emergency

        with pytest.raises(RefusedError, match="tech may not run in an emergency patch at all"):
            request_emergency(office.settings, office.school, office.plan(), "x", key_of("tech"), office.clock)

    def test_nobody_takes_back_their_own(self, office: Office) -> None:
        from lab_tool.core.change import request_emergency

        state = request_emergency(office.settings, office.school, office.plan(), "x", key_of("head"), office.clock)
        with pytest.raises(RefusedError, match="somebody else has to"):
            office.reject(state, by="head")
        office.reject(state, by="second")
        assert office.state(state).status(office.now) == "rejected"


def test_the_gate_reads_the_log_and_not_what_it_is_given(office: Office) -> None:
    state = office.request()
    office.approve(state)
    approved = office.state(state)
    office.reject(state)
    with pytest.raises(RefusedError, match="was rejected"):
        require_runnable(office.settings, office.school, approved, office.again(state), office.now)


def test_an_altered_index_hides_no_rejection(office: Office) -> None:
    import sqlite3

    state = office.request()
    office.approve(state)
    office.reject(state)
    assert office.kinds() == ["change.requested", "change.approved", "change.rejected"]
    for path in (office.settings.log / "index").rglob("*.sqlite"):
        with sqlite3.connect(path) as index:
            index.execute("DELETE FROM posting WHERE term IN (SELECT id FROM term WHERE value = 'change.rejected')")
    assert "was rejected" in refusal(office, state)


def test_grants_of_other_verbs_don_t_count(office: Office) -> None:
    office.with_person("head", approve=Grant(frozenset({"image"}), frozenset({"a301"}), "high"))
    with pytest.raises(RefusedError, match="head may not approve patch at all"):
        office.approve(office.request())


def test_a_right_in_one_room_brings_no_data_of_another_there(office: Office) -> None:
    """`lab restore a301-01 / --of a302-01`: requested, approved and run by those only who may in both rooms."""
    here = Grant(frozenset({"backup_restore"}), frozenset({"a301"}), "high")
    both = Grant(frozenset({"backup_restore"}), ROOMS, "high")
    settings = ("backup_restore_path=/", "backup_restore_to=/srv/x")
    wish: dict[str, Any] = {"verb": "backup_restore", "rooms": (), "hosts": ("a301-01",)}
    other = {**wish, "overrides": (*settings, "backup_restore_of=a302-01")}
    words = "backup_restore in a302 "
    office.with_person("tech", request=here, run=here)
    office.with_person("head", approve=here)
    office.approve(office.request(**wish, overrides=(*settings, "backup_restore_of=a301-02")))
    with pytest.raises(RefusedError, match=words):
        office.request(**other)
    office.with_person("tech", request=both, run=here)
    state = office.request(**other)
    with pytest.raises(RefusedError, match=words):
        office.approve(state)
    office.with_person("head", approve=both)
    office.approve(state)
    office.gate(state)
    order = Wish(state.id, (), (), "", "")
    with pytest.raises(RefusedError, match=words):
        make_order(Desk(office.settings, office.school, key_of("tech"), office.clock), order)
