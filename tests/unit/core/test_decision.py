"""Approving and rejecting: in any order, twice, at once, from another machine."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from lab_tool.core import change, decision
from lab_tool.core.decision import Credential
from lab_tool.core.document import APPROVE_NAMESPACE
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.school.model import Key
from lab_tool.signature import public_line, sign
from tests.support.office import Office, key_of


def test_what_is_signed_is_shown_first(office: Office) -> None:
    state = office.request()
    office.approve(state)
    assert [shown.change for shown in office.shown] == [state.change]


def test_nothing_is_shown_for_signing_that_can_t_be_signed(office: Office) -> None:
    with pytest.raises(RefusedError):
        office.approve(office.request(), by="tech")
    assert office.shown == []


def test_requester_and_approver_differ(office: Office) -> None:
    state = office.request(by="head")
    with pytest.raises(RefusedError, match="was requested by head: somebody else has to approve it"):
        office.approve(state, by="head")
    assert office.approve(state, by="second").person == "second"


def test_up_to_the_risk_somebody_may_approve(office: Office) -> None:
    assert office.approve(office.request(), by="deputy").person == "deputy"
    with pytest.raises(RefusedError, match="deputy may not approve patch of medium risk"):
        office.approve(office.request(risk="medium"), by="deputy")
    with pytest.raises(RefusedError, match="deputy may not approve patch in a302"):
        office.approve(office.request(rooms=("a301", "a302")), by="deputy")


def test_a_key_of_nobody(office: Office) -> None:
    with pytest.raises(
        RefusedError, match=r"this key belongs to nobody in inventory/people\.yml\. Its line there would be"
    ):
        office.approve(office.request(), by="stranger")


def test_a_key_that_does_not_count_yet_or_any_more(office: Office) -> None:
    state = office.request()
    line = public_line(key_of("head"))
    office.with_person("head", keys=(Key(line, date(2026, 11, 25), None),))
    with pytest.raises(RefusedError, match="counts from 2026-11-25 to ever, not on 2026-11-24"):
        office.approve(state)
    office.with_person("head", keys=(Key(line, None, date(2026, 11, 23)),))
    with pytest.raises(RefusedError, match="counts from ever to 2026-11-23, not on 2026-11-24"):
        office.approve(state)


def test_days_are_days_of_the_school(office: Office) -> None:
    office.with_person("head", keys=(Key(public_line(key_of("head")), date(2026, 11, 25), None),))
    state = office.request()
    office.now = office.now.replace(hour=16, minute=30)  # past midnight in Shanghai
    assert office.approve(state).person == "head"
    assert office.gate(state)


def test_twice(office: Office) -> None:
    state = office.request()
    assert office.approve(state).already is False
    assert office.approve(state).already is True
    assert office.approve(state, by="second").person == "head"
    assert office.kinds().count("change.approved") == 1


def test_two_at_once(office: Office) -> None:
    state = office.request()
    with ThreadPoolExecutor(8) as pool:
        decided = list(pool.map(lambda name: office.approve(state, by=name), ["head", "second"] * 4))
    assert sorted(each.already for each in decided) == [False] + [True] * 7
    assert office.kinds().count("change.approved") == 1


def test_approving_and_rejecting_at_once_ends_rejected_or_refused(office: Office) -> None:
    state = office.request()

    def act(number: int) -> None:
        try:
            if number % 2:
                office.approve(state)
            else:
                office.reject(state, by="second")
        except RefusedError:
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(act, range(4)))
    kinds = office.kinds()
    assert kinds.count("change.rejected") == 1
    assert kinds.index("change.rejected") == len(kinds) - 1
    assert office.state(state).status(office.now) == "rejected"


def test_not_after_it_was_rejected(office: Office) -> None:
    state = office.request()
    office.reject(state, why="Not now")
    with pytest.raises(RefusedError, match="was rejected by head: Not now"):
        office.approve(state, by="second")


def test_not_after_it_expired(office: Office) -> None:
    state = office.request(expires=1)
    office.now += timedelta(days=1)
    with pytest.raises(RefusedError, match="expired on"):
        office.approve(state)


def test_not_after_it_ran(office: Office) -> None:
    state = office.request()
    office.append("run.started", state, "tech", {"check": False}, "r-20261124T102030-1f2e")
    with pytest.raises(RefusedError, match="has been run"):
        office.approve(state)
    with pytest.raises(RefusedError, match="has been run"):
        office.reject(state)


def test_not_when_the_plan_moved(office: Office) -> None:
    state = office.request()
    office.variables["patch_scope"] = "full"
    with pytest.raises(RefusedError, match="Moved since: variables of a301-01"):
        office.approve(state)


class TestRejecting:
    def test_twice(self, office: Office) -> None:
        state = office.request()
        assert office.reject(state).already is False
        assert office.reject(state, by="second").already is True
        assert office.kinds().count("change.rejected") == 1

    def test_a_requester_takes_back_their_own(self, office: Office) -> None:
        state = office.request()
        assert office.reject(state, by="tech").person == "tech"

    def test_not_by_others_who_may_not_approve(self, office: Office) -> None:
        with pytest.raises(RefusedError, match="guest may not approve patch at all"):
            office.reject(office.request(), by="guest")

    def test_takes_an_approval_back(self, office: Office) -> None:
        state = office.request()
        office.approve(state)
        office.reject(state)
        assert office.state(state).status(office.now) == "rejected"


class TestFromAnotherMachine:
    def signature(self, folder: Path, message: bytes, by: str, namespace: str = APPROVE_NAMESPACE) -> str:
        """As the director makes it there: with ssh-keygen and the exported file alone."""
        file = folder / "change.json"
        file.write_bytes(message)
        Path(f"{file}.sig").unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key_of(by)), str(file)]
        subprocess.run(command, check=True, capture_output=True)
        return Path(f"{file}.sig").read_text(encoding="utf-8")

    def test_brought_back(self, office: Office, tmp_path: Path) -> None:
        state = office.request()
        signature = self.signature(tmp_path, state.change.signed, "head")
        decided = office.decide(state, Credential(signature=signature, person="head"))
        assert decided.person == "head"
        assert office.gate(state).approver == "head"
        assert office.state(state).approvals[0].key == public_line(key_of("head"))

    def test_whose_it_is_is_found(self, office: Office, tmp_path: Path) -> None:
        state = office.request()
        signature = self.signature(tmp_path, state.change.signed, "second")
        assert office.decide(state, Credential(signature=signature)).person == "second"

    def test_ssh_keygen_alone_checks_it_later(self, office: Office, tmp_path: Path) -> None:
        state = office.request()
        office.approve(state)
        body = office.state(state).approvals[0].entry.body
        (tmp_path / "signers").write_text(f"head {body['key']}\n", encoding="utf-8")
        (tmp_path / "sig").write_text(body["signature"], encoding="utf-8")
        command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "head", "-n", APPROVE_NAMESPACE, "-s", "sig"]
        done = subprocess.run(command, input=state.change.signed, cwd=tmp_path, capture_output=True, check=True)
        assert b'Good "lab-change-approve" signature for head' in done.stdout

    def test_of_somebody_else(self, office: Office, tmp_path: Path) -> None:
        state = office.request()
        signature = self.signature(tmp_path, state.change.signed, "tech")
        with pytest.raises(RefusedError, match="this signature is not head's over exactly this change"):
            office.decide(state, Credential(signature=signature, person="head"))
        with pytest.raises(RefusedError, match="requested by tech: somebody else"):
            office.decide(state, Credential(signature=signature))

    def test_of_something_else(self, office: Office, tmp_path: Path) -> None:
        state, other = office.request(), office.request(why="Other")
        signature = self.signature(tmp_path, other.change.signed, "head")
        with pytest.raises(RefusedError, match=r"is not anybody's in inventory/people\.yml over exactly this change"):
            office.decide(state, Credential(signature=signature))
        signature = self.signature(tmp_path, state.change.signed + b"\n", "head")
        with pytest.raises(RefusedError, match="over exactly this change"):
            office.decide(state, Credential(signature=signature))

    def test_for_something_else(self, office: Office, tmp_path: Path) -> None:
        state = office.request()
        signature = self.signature(tmp_path, state.change.signed, "head", "lab-change-reject")
        with pytest.raises(
            RefusedError, match=r"made for a rejection \(-n lab-change-reject\), not with -n lab-change-a"
        ):
            office.decide(state, Credential(signature=signature, person="head"))

    def test_of_nobody_known(self, office: Office) -> None:
        with pytest.raises(UsageError, match="has no 'nobody'; it has tech, head"):
            office.decide(office.request(), Credential(signature="x", person="nobody"))


def test_a_key_without_its_private_half_decides_nothing(office: Office, tmp_path: Path) -> None:
    """The public key of another names them, and signs nothing."""
    for name in ("tech", "head"):
        (tmp_path / f"{name}.pub").write_bytes(key_of(name).with_suffix(".pub").read_bytes())
    wish = change.Wish("patch", ("a301",), (), "In another's name")
    with pytest.raises(LabError, match="neither in a file nor in an agent"):
        change.request(office.settings, office.school, wish, tmp_path / "tech.pub", office.clock)
    state = office.request()
    credential = Credential(key=tmp_path / "head.pub")
    with pytest.raises(LabError, match="neither in a file nor in an agent"):
        decision.approve(office.settings, office.school, state.id, credential, office.clock, office.shown.append)
    assert "change.approved" not in office.kinds()


def test_a_public_file_of_another_beside_the_key_signs_nothing(office: Office, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(key_of("tech").read_bytes())
    key.chmod(0o600)
    key.with_suffix(".pub").write_bytes(key_of("head").with_suffix(".pub").read_bytes())
    state = office.request(by="second")
    with pytest.raises(LabError, match="the public key beside it is another's"):
        office.decide(state, Credential(key=key))


def test_an_approval_that_was_never_made_here_does_not_verify(office: Office) -> None:
    state = office.request()
    signature = sign(state.change.signed, key_of("head"), "lab-change-request")
    with pytest.raises(RefusedError, match="made for a request"):
        office.decide(state, Credential(signature=signature, person="head"))
