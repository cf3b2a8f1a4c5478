"""The policies as data."""

from __future__ import annotations

import re

import pytest

from lab_tool.errors import UsageError
from lab_tool.imaging.format.order import Order
from lab_tool.imaging.orders import policies
from lab_tool.imaging.orders.policies import windows_policies
from lab_tool.rules.data import read
from tests.support.windows_order import order


def test_each_has_a_rule_and_a_reason_in_both_languages() -> None:
    for name, entry in read("windows_policies.yml").items():
        assert set(entry) == {"hive", "key", "name", "type", "value", "rules", "reason"}, name
        assert entry["rules"] and all(re.fullmatch(r"[A-H][0-9]{1,2}", rule) for rule in entry["rules"]), name
        assert set(entry["reason"]) == {"zh", "en"}, name
        assert isinstance(entry["value"], str), name


def test_removable_storage_is_shut_out_twice_and_no_place_is_named_twice() -> None:
    by_rule = [name for name, entry in read("windows_policies.yml").items() if "B6" in entry["rules"]]
    assert {"usb_storage", "removable_storage", "autorun"} <= set(by_rule)
    places = [(entry["hive"], entry["key"].lower(), entry["name"].lower()) for entry in windows_policies()]
    assert len(places) == len(set(places))


def test_one_that_is_switched_off_is_left_out() -> None:
    left = windows_policies({"usb_storage": False, "store": True})
    assert len(left) == len(windows_policies()) - 1
    assert not any("USBSTOR" in entry["key"] for entry in left)


def test_a_switch_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="usb_stoarge"):
        windows_policies({"usb_stoarge": False})


def test_a_value_that_its_type_can_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {**read("windows_policies.yml")}
    broken["usb_storage"] = {**broken["usb_storage"], "value": "four"}
    monkeypatch.setattr(policies, "read", lambda name: broken)
    with pytest.raises(UsageError, match="USBSTOR"):
        windows_policies()


def test_they_survive_the_way_in_an_order() -> None:
    given = order()
    assert Order.parse(given.dump()).personal == given.personal
