"""Whether a PC that was imaged is the one it should be, and what its firmware can start from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab_tool.plugins.module_utils.lab_image.firmware import network_entry
from lab_tool.plugins.module_utils.lab_image.verdict import Found, judge

MAC, KEY = "02:00:00:00:00:07", "ssh-ed25519 AAAA"
WANTED = {"image": "a" * 64, "order": "o-1", "host": "a301-07", "address": "10.3.1.7", "mac": MAC, "cells": "c" * 64}
GOOD = Found({**WANTED, "name": "debian-lab"}, "a301-07", [(MAC, "10.3.1.7")], [f"{KEY} root@a301-07"])


def test_the_right_pc_is_ok() -> None:
    assert judge(WANTED, [KEY], GOOD) == ("ok", "")


@pytest.mark.parametrize("name", ["image", "order", "host", "cells"])
def test_another_record_is_no_success(name: str) -> None:
    for record in ({**GOOD.record, name: "x"}, {key: value for key, value in GOOD.record.items() if key != name}):
        assert judge(WANTED, [KEY], replace(GOOD, record=record))[0] == "failed"


def test_nothing_read_back_is_no_success() -> None:
    """The control node learned no digest, and the PC wrote none down: equal, and worth nothing."""
    nothing = {**WANTED, "cells": ""}
    assert judge(nothing, [KEY], replace(GOOD, record={**GOOD.record, "cells": ""}))[0] == "failed"


@pytest.mark.parametrize(
    "found",
    [
        replace(GOOD, hostname="a301-08"),
        replace(GOOD, addresses=[(MAC, "10.3.1.8")]),
        replace(GOOD, addresses=[("02:00:00:00:00:08", "10.3.1.7")]),
        replace(GOOD, addresses=[]),
        replace(GOOD, host_keys=["ssh-ed25519 BBBB"]),
        replace(GOOD, host_keys=[KEY, "ssh-rsa CCCC"]),
    ],
)
def test_another_name_address_card_or_key_is_no_success(found: Found) -> None:
    assert judge(WANTED, [KEY], found)[0] == "failed"


FIRMWARE = """\
BootCurrent: 0001
BootOrder: 0001,0000,0003,0004
Boot0000* UiApp
Boot0001* debian HD(1,GPT)
Boot0003* UEFI PXEv4 (MAC:020000000006)
Boot0004* UEFI PXEv4 (MAC:020000000007)
Boot0005* UEFI PXEv6 (MAC:020000000007)
Boot0006* UEFI HTTPv4 (MAC:020000000007)
"""


def test_the_entry_of_the_right_card() -> None:
    assert network_entry(FIRMWARE, MAC) == "0004"
    assert network_entry(FIRMWARE, "02:00:00:00:00:99") == "0003"
    assert network_entry("Boot0001* debian\n", MAC) == ""
