"""This machine's own way to packages, for another release or other components, and without its passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build import apt

STANZAS = """Types: deb
# A comment
URIs: https://name:word@mirror.school.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://vendor.example/apt
Suites: stable
Components: vendor
"""
LINES = """# A comment
deb [signed-by=/etc/k.gpg arch=amd64] http://mirror.school.example/debian bookworm main
deb http://mirror.school.example/security bookworm-security main contrib
deb https://vendor.example/apt stable vendor
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An /etc/apt of a Debian 12."""
    release = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_stanzas_of_the_machine_s_own_release_become_the_other_s(here: Path) -> None:
    (here / "sources.list.d/debian.sources").write_text(STANZAS)
    told = apt.apt_here("trixie", ["main", "non-free-firmware"], here)
    assert told.file_name == "machine.sources"
    assert "Suites: trixie trixie-updates\nComponents: main non-free-firmware\n" in told.sources
    assert "Suites: stable\nComponents: vendor\n" in told.sources
    same = apt.apt_here("bookworm", [], here)
    assert same.sources.split() == STANZAS.split()


def test_so_do_lines(here: Path) -> None:
    (here / "sources.list").write_text(LINES)
    told = apt.apt_here("trixie", ["main"], here)
    assert told.file_name == "machine.list"
    assert told.sources.splitlines() == [
        "deb [signed-by=/etc/k.gpg arch=amd64] http://mirror.school.example/debian trixie main",
        "deb http://mirror.school.example/security trixie-security main",
        "deb https://vendor.example/apt stable vendor",
    ]


def test_none_at_all_is_an_error(here: Path) -> None:
    with pytest.raises(LabError, match="where this machine's own packages come from"):
        apt.apt_here("bookworm", [], here)


def test_passwords_don_t_go_along() -> None:
    assert "word" not in apt.without_passwords(STANZAS)
    assert "URIs: https://mirror.school.example/debian" in apt.without_passwords(STANZAS)


def test_the_way_of_this_machine_s_apt_is_taken_over(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "sources.list").write_text(LINES)
    monkeypatch.setenv("https_proxy", "http://proxy.school.example:3128")
    assert 'Acquire::https::Proxy "http://proxy.school.example:3128";' in apt.apt_here("bookworm", [], here).options
