"""No identity, no secret and no date of its making stays in a tree; nothing outside it is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab_tool.errors import RefusedError
from lab_tool.imaging.build.survey import survey
from lab_tool.imaging.build.tidy import clean, require_no_secret, settle
from tests.unit.imaging.build.conftest import MakeTree, builders_only

pytestmark = builders_only


def test_who_it_was_is_gone(tree: MakeTree) -> None:
    root = tree()
    (root / "root/.ssh").mkdir(parents=True)
    (root / "root/.ssh/authorized_keys").write_text("ssh-ed25519 AAAA\n")
    clean(root)
    assert not list((root / "etc/ssh").iterdir())
    assert not list((root / "root/.ssh").iterdir())
    assert not list((root / "var/log").iterdir())
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/hostname").read_text() == "lab\n"
    assert (root / "usr/sbin/init").exists()


def test_passwords_of_administrators_are_gone_and_others_stay(tree: MakeTree) -> None:
    root = tree()
    clean(root)
    accounts = dict(line.split(":")[:2] for line in (root / "etc/shadow").read_text().splitlines())
    assert accounts == {"root": "*", "boss": "*", "student": "$y$known"}


def test_a_link_does_not_lead_out_of_the_tree(tree: MakeTree, tmp_path: Path) -> None:
    root = tree()
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    (root / "etc/hostname").unlink()
    (root / "etc/hostname").symlink_to(outside)
    (root / "etc/ssh/ssh_host_rsa_key").symlink_to(outside)
    clean(root)
    assert outside.read_text() == "mine\n"
    assert not (root / "etc/hostname").is_symlink()


@pytest.mark.parametrize("path", ["etc/nginx/tls.key", "home/student/id", "var/lib/thing/key", "srv/a/b/key.pem"])
def test_a_private_key_that_is_left_is_refused(tree: MakeTree, path: str) -> None:
    root = tree()
    clean(root)
    require_no_secret(root)
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text("x\n-----BEGIN EC PRIVATE KEY-----\nx\n")
    with pytest.raises(RefusedError) as caught:
        require_no_secret(root)
    assert caught.value.where == f"/{path}"


def test_dates_say_nothing_of_when_it_was_made(tree: MakeTree) -> None:
    root = tree()
    (root / "etc/new").write_text("made just now\n")
    os.utime(root / "usr/sbin/init", (1_710_000_000, 1_710_000_000))
    assert settle(root, 1_750_000_000) == 1_710_000_000
    assert (root / "etc/new").stat().st_mtime == 1_710_000_000
    assert (root / "usr/lib/os-release").stat().st_mtime == 1_700_000_000
    assert root.stat().st_mtime == 1_710_000_000


def test_what_is_in_it_is_told(tree: MakeTree) -> None:
    found = survey(tree())
    assert found.packages == {"bash": "5.2"}
    assert found.release == {"id": "debian", "version": "12", "title": "Debian 12", "kernel": "6.1.0-1"}
    assert found.files["/etc/hostname"].startswith("100644 8 ")
    assert found.files["/sbin"].startswith("120777 8 ")
    assert "/etc" not in found.files
