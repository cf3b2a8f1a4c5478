"""The order to capture a PC, what the action says in the end, and the inputs of the role's second entry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml

from lab_tool.errors import UsageError
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders.make import Occasion, make_order
from lab_tool.imaging.orders.wanted import Wanted
from lab_tool.plugins.action import lab_image_capture_evidence as evidence
from lab_tool.recording.allowed import is_evidence, why_no_evidence
from lab_tool.rules import VERBS
from lab_tool.settings import PROJECT
from tests.support.captured import ORDER, Sent, send

VARIABLES = {"lab_mac": "02:00:00:00:00:07", "ansible_host": "10.3.1.7", "lab_room": "a301"}
OCCASION = Occasion("r-1", "c-1", "2026-11-24T10:00:00.000000Z", "2026-11-24T12:00:00.000000Z")
ROLE = PROJECT / "roles/image"


def wanted(**inputs: object) -> Wanted:
    """What is asked of seat 7."""
    return Wanted.read("a301-07", VARIABLES, {"action": "capture", "deploy": "d" * 64, "disk": "", **inputs})


def test_an_order_to_capture_names_the_pc_and_no_image() -> None:
    made = make_order(wanted(disk="sda"), {}, (), OCCASION)
    assert Order.parse(made.dump()) == made
    assert (made.action, made.host, made.mac, made.disk) == ("capture", "a301-07", "02:00:00:00:00:07", "sda")
    assert (made.systems, made.data, made.cache) == ((), 0, 0)


def test_without_a_deploy_system_nobody_is_captured() -> None:
    with pytest.raises(UsageError, match="no deploy system"):
        wanted(deploy="")


class TestEvidence:
    @pytest.fixture
    def sent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
        """What came to the control node."""
        monkeypatch.setenv("LAB_STATE", str(tmp_path))
        monkeypatch.setenv("LAB_INVENTORY", str(tmp_path))
        yield send(tmp_path / "images" / "incoming" / ORDER)

    def read(self, digest: str, *, check: bool = False, **more: object) -> dict[str, Any]:
        """What the action answers, on behalf of seat 7."""
        told = {"cells_sha256": digest, "sent_bytes": 4096, "seconds": 61.5, "host_keys": []}
        task = Mock(args={"order": ORDER, "read_back": told, **more}, check_mode=check, async_val=0, diff=False)
        action = evidence.ActionModule(task, Mock(), Mock(check_mode=check), Mock(), Mock(), Mock())
        return action.run(None, {"inventory_hostname": "a301-07"})

    def test_it_is_ok_where_every_cell_is_here(self, sent: Sent) -> None:
        said = self.read(sent.digest)
        assert said["evidence"]["outcome"] == "ok" and not said.get("failed")
        values = said["evidence"]["values"]
        assert (values["order"], values["host"], values["cells"]) == (ORDER, "a301-07", sent.digest)
        assert (values["sent_bytes"], values["seconds"], values["different_cells"]) == (4096, 62, 4)
        name = "lab_image_capture_evidence"
        assert is_evidence(name) and not why_no_evidence(name, said["evidence"])

    @pytest.mark.parametrize("ending", [".pack", ".idx", ".cells", ".json"])
    @pytest.mark.parametrize("how", ["missing", "damaged"])
    def test_it_failed_where_a_part_is_not_what_was_sent(self, sent: Sent, ending: str, how: str) -> None:
        if how == "missing":
            sent.file(ending).unlink()
        else:
            sent.damage(ending)
        said = self.read(sent.digest)
        assert (said["failed"], said["evidence"]["outcome"], said["evidence"]["values"]) == (True, "failed", {})
        assert "not whole" in said["evidence"]["reason"]

    def test_it_failed_where_another_pc_s_parts_are_here(self, sent: Sent) -> None:
        assert self.read("0" * 64)["evidence"]["outcome"] == "failed"

    def test_what_failed_before_is_never_ok(self, sent: Sent) -> None:
        said = self.read(sent.digest, failure="it does not start")
        assert (said["failed"], said["evidence"]["reason"]) == (True, "it does not start")

    def test_a_pc_in_use_is_put_off_and_a_rehearsal_reads_nothing(self, sent: Sent) -> None:
        assert self.read(sent.digest, in_use=True)["evidence"]["outcome"] == "deferred"
        said = self.read("", check=True, would="would be captured")["evidence"]
        assert (said["outcome"], said["reason"], said["values"]) == ("ok", "would be captured", {})


class TestEntry:
    def test_what_both_entries_take_is_the_same(self) -> None:
        entries = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
        main, capture = (entries[name]["options"] for name in ("main", VERBS["image_capture"].entry))
        assert {name: capture[name] for name in main.keys() & capture.keys()} == {
            name: main[name] for name in main.keys() & capture.keys()
        }

    def test_every_input_is_declared_and_its_default_is_the_documented_one(self) -> None:
        entries = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
        text = (ROLE / "tasks/capture.yml").read_text("utf-8")
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text("utf-8"))
        used = set(re.findall(r"(?<![_.\w])image_[a-z_]+", re.sub(r"(?m)^\s*#.*|tags:.*", "", text)))
        assert used == entries["capture"]["options"].keys()
        for name in used - defaults.keys():
            found = re.findall(rf"{name}(?: \| default\((\w+)\))?", re.sub(r"fail_msg.*", "", text))
            assert set(found) == {str(entries["capture"]["options"][name]["default"])}, name

    def test_it_is_approved_as_a_change_of_the_machine(self) -> None:
        verb = VERBS["image_capture"]
        assert (verb.risk, verb.owner, verb.until) == ("medium", "", "image_until")
        assert not verb.reads and verb.evidence == ("image_capture",)
