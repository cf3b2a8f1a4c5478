"""A build or a stick that can't be made says why, and leaves nothing half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.deploy_system import packages
from lab_tool.imaging.deploy_system.api import build_deploy_system, make_stick
from lab_tool.settings import PROJECT, Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose state is new."""
    return Settings(PROJECT, PROJECT / "inventory", tmp_path / "state")


@pytest.mark.parametrize(
    ("signers", "pins", "said"),
    [
        ([], [], "trusts no key"),
        ([f"{KEY} a comment"], [], "not an SSH public key"),
        (['command="sh" ' + KEY], [], "not an SSH public key"),
        ([KEY], ["AB" * 32], "not the SHA-256"),
    ],
)
def test_trust_that_is_none(signers: list[str], pins: list[str], said: str, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        build_deploy_system(settings, tmp_path / "store", signers=signers, pins=pins)


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a program in the place of apt-get."""
    (folder / "bin").mkdir()
    (folder / "bin/apt-get").write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    (folder / "bin/apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")


def test_without_a_way_to_the_mirror_nothing_is_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "echo 'E: Temporary failure resolving' >&2; exit 100")
    with pytest.raises(LabError, match="the package lists can't be had: E: Temporary failure") as caught:
        build_deploy_system(settings, tmp_path / "store", signers=[KEY], pins=[])
    assert caught.value.next_command == "apt-get update"
    assert list((tmp_path / "store/deploy").iterdir()) == []


def test_a_machine_without_apt(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="no apt-get"):
        build_deploy_system(settings, tmp_path / "store", signers=[KEY], pins=[])


def test_a_package_that_apt_says_it_has_and_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo 'Inst kmod (2:30+1-1 Debian:12.15/stable [amd64]) []'")
    with pytest.raises(LabError, match="it is not there"):
        packages.download(("kmod",), tmp_path / "cache")
    (tmp_path / "cache/archives/kmod_2%3a30+1-1_amd64.deb").touch()
    assert [(one.name, one.version) for one in packages.download(("kmod",), tmp_path / "cache")] == [
        ("kmod", "2:30+1-1")
    ]


@pytest.mark.parametrize(
    "server", ["http://10.1.1.1/x", "https://10.1.1.1", "http://a b", "http://10.1.1.1 init=/bin/sh"]
)
def test_a_stick_for_a_server_that_is_none(server: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an image server's address"):
        make_stick(tmp_path, "0" * 64, tmp_path / "stick", server=server)


@pytest.mark.parametrize("deploy", ["0" * 64, "../../etc", ""])
def test_a_stick_of_a_deploy_system_that_is_none(deploy: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no deploy system"):
        make_stick(tmp_path, deploy, tmp_path / "stick", server="http://10.1.1.1")
