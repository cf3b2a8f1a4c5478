"""Only `make vm` starts virtual PCs."""

from __future__ import annotations

import os

import pytest

from tests.testbed.available import reason_not_available as no_root_file_system
from tests.vm.machine import reason_not_available


@pytest.fixture(scope="session", autouse=True)
def virtual_pcs_wanted() -> None:
    """Skip these tests unless they are asked for; then a machine that can't have them is a failure."""
    if os.environ.get("LAB_VM") != "1":
        pytest.skip("virtual PCs are slow; run: make vm")
    reason = no_root_file_system() or reason_not_available()
    if reason:
        pytest.fail(reason, pytrace=False)
