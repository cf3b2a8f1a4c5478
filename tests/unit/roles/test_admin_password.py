"""What a PC says of an account's password: that it is another one, and nothing of what it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_password.shadow import fingerprint

FIELD = "$6$salt$hash"


@pytest.fixture
def shadow(tmp_path: Path) -> str:
    """A file of accounts, one of whose names begins like another's."""
    path = tmp_path / "shadow"
    path.write_bytes(
        f"root:*:1::::::\nlocaladmin2:!:1::::::\nlocaladmin:{FIELD}:1::::::\nodd:\xff:1:::::\n".encode("latin-1")
    )
    return str(path)


def test_the_fingerprint_is_of_that_account_alone(shadow: str) -> None:
    assert fingerprint("localadmin", shadow) == hashlib.sha256(FIELD.encode()).hexdigest()
    assert fingerprint("localadmin2", shadow) == hashlib.sha256(b"!").hexdigest()
    assert fingerprint("odd", shadow) == hashlib.sha256(b"\xff").hexdigest()


@pytest.mark.parametrize("account", ["nobody", "", "local", "localadmin:"])
def test_who_is_not_there_has_none(shadow: str, account: str) -> None:
    assert fingerprint(account, shadow) == ""


def test_an_account_that_was_locked_has_another_one(shadow: str) -> None:
    before = fingerprint("localadmin", shadow)
    text = Path(shadow).read_bytes().replace(b"localadmin:$6", b"localadmin:!$6")
    Path(shadow).write_bytes(text)
    assert fingerprint("localadmin", shadow) != before
