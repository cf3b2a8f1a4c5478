"""What the checks of controls ask, on files that a test lays out: a check that can't fail says nothing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT

ROLE = PROJECT / "roles" / "lockdown"


def check(area: str, control: str, why: str) -> dict[str, Any]:
    """A control's check by what it says when it is not met."""
    path = ROLE / "vars/controls" / f"{area}.yml"
    checks: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))[f"__lockdown_{area}"][control][
        "checks"
    ]
    return next(one for one in checks if why in one["why"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PasswordAuthentication no\n", ""),
        ("Match User backup\n  ChrootDirectory /srv\n  PermitTTY no\n", ""),
        ("Match all\nX11Forwarding yes\n", ""),
        ("Match User student\n\tPasswordAuthentication yes\n", "PasswordAuthentication yes\n"),
        ("match address 192.0.2.0/24\nPERMITROOTLOGIN=prohibit-password\n", "PERMITROOTLOGIN=prohibit-password\n"),
        ("Match Group lab\n  AllowUsers *\n", "AllowUsers *\n"),
    ],
)
def test_an_exception_of_sshd_for_some_is_seen(tmp_path: Path, text: str, told: str) -> None:
    """`sshd -T` tells what holds for everybody, and nothing of a block `Match`."""
    asked = check("access", "access_ssh", "Match")["run"]
    (tmp_path / "sshd_config").write_text("Include x\n" + text, encoding="utf-8")
    (tmp_path / "sshd_config.d").mkdir()
    (tmp_path / "sshd_config.d" / "00-lab.conf").write_text("PermitRootLogin no\nAllowUsers a\n", encoding="utf-8")
    argv = [word.replace("/etc/ssh", str(tmp_path)) for word in asked]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("# student ALL=(ALL) NOPASSWD: ALL\n#\n", False),
        ("lab-admin ALL=(ALL) NOPASSWD: ALL\n", False),
        ("student ALL=(ALL) NOPASSWD: ALL\n", True),
        ("#1001 ALL=(ALL) NOPASSWD: ALL\n", True),
        ("student ALL=(#1002) NOPASSWD: ALL\n", True),
        ("Defaults:student !authenticate\n", True),
    ],
)
def test_who_becomes_root_without_a_password_is_told(tmp_path: Path, text: str, is_told: bool) -> None:
    asked = check("access", "access_sudo", "without a password")
    (tmp_path / "sudoers").write_text("root ALL=(ALL:ALL) ALL\n", encoding="utf-8")
    (tmp_path / "sudoers.d").mkdir()
    (tmp_path / "sudoers.d" / "one").write_text(text, encoding="utf-8")
    argv = [word.replace("/etc/sudoers", f"{tmp_path}/sudoers") for word in asked["run"]]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    lacks = re.sub(r"{{.*?}}", "lab-admin", asked["lacks"])
    assert (re.search(lacks, said) is not None) is is_told


def test_what_sudo_says_of_its_defaults_meets_no_check() -> None:
    """`pty` stands in it anyway: `Add an entry to the utmp/utmpx file when allocating a pty`."""
    said = "Sudo version 1.9.13p3\nAdd an entry to the utmp/utmpx file when allocating a pty\nLecture user: never\n"
    for why in ("the terminal", "no log"):
        assert not re.search(check("access", "access_sudo", why)["contains"], said)


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at the whole disk as root")
def test_who_owns_a_closed_place_can_not_hold_up_what_looks_for_open_ones(tmp_path: Path) -> None:
    """A folder of everybody's below `/home` would be asked for one by one: a student makes thousands of them."""
    (tmp_path / "own" / "deep").mkdir(parents=True)
    (tmp_path / "own" / "deep").chmod(0o777)
    (tmp_path / "else").mkdir()
    (tmp_path / "else").chmod(0o777)
    (tmp_path / "list").write_text(f"{tmp_path}/own\n", encoding="utf-8")
    (tmp_path / "findmnt").write_text(
        # Every place but the listed one allows execution; whoever asks is noted.
        f'#!/bin/sh\ncase "$*" in *--list*) echo {tmp_path} ;; *target*) echo "$*" >>{tmp_path}/asked;'
        f' case "$*" in */own*) echo noexec ;; *) echo rw ;; esac ;; esac\n',
        encoding="utf-8",
    )
    (tmp_path / "findmnt").chmod(0o755)
    script = (
        (ROLE / "files/lab-noexec").read_text(encoding="utf-8").replace("/etc/lab/noexec-paths", f"{tmp_path}/list")
    )
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", script, "sh", "open"], capture_output=True, text=True, env=path, check=False)
    assert f"{tmp_path}/else can be written to by everybody and allows execution" in done.stdout
    assert f"{tmp_path}/own" not in done.stdout
    assert "deep" not in (tmp_path / "asked").read_text(encoding="utf-8")
