"""Which updates are wanted, by where they come from."""

from __future__ import annotations

from typing import Any

import pytest

from lab_tool.plugins.module_utils.lab_patch.policy import Policy, Source

DEBIAN = Source("Debian", "Debian", "stable", "bookworm", "deb.example.org")
SECURITY = Source("Debian", "Debian-Security", "stable-security", "bookworm-security", "security.example.org")
VENDOR = Source("Vendor", "Vendor", "stable", "stable", "dl.vendor.example")
NAMELESS = Source("", "", "", "", "apt.nameless.example")


def policy(**changes: Any) -> Policy:
    """Debian's, with changes."""
    plain: dict[str, Any] = {
        "scope": "security",
        "hold": [],
        "distribution": [{"origin": "Debian"}],
        "security": [{"origin": "Debian", "label": "Debian-Security"}],
        "third_party": [],
    }
    return Policy.read({**plain, **changes})


@pytest.mark.parametrize(
    ("scope", "wanted"), [("security", (False, True, False)), ("full", (True, True, False))], ids=["security", "full"]
)
def test_scope(scope: str, wanted: tuple[bool, ...]) -> None:
    assert tuple(policy(scope=scope).wants("a", [source]) for source in (DEBIAN, SECURITY, VENDOR)) == wanted


def test_a_version_found_in_several_sources_needs_one_that_is_wanted() -> None:
    assert policy().wants("a", [VENDOR, DEBIAN, SECURITY])
    assert not policy().wants("a", [])


def test_third_parties_are_listed_by_any_field_and_by_package() -> None:
    listed = policy(third_party=[{"origin": "Vendor", "packages": ["browser*"]}, {"site": "*.nameless.example"}])
    assert listed.wants("browser-stable", [VENDOR])
    assert not listed.wants("spyware", [VENDOR])
    assert listed.wants("anything", [NAMELESS])
    assert not listed.wants("browser-stable", [DEBIAN])


def test_what_may_come_along_is_the_distribution_s() -> None:
    assert policy().may_add("a", [DEBIAN])
    assert not policy().may_add("a", [VENDOR])
    assert policy(third_party=[{"origin": "Vendor"}]).may_add("a", [VENDOR])


def test_holds_are_shell_patterns() -> None:
    held = policy(hold=["linux-*", "vim"])
    assert [held.holds(name) for name in ("linux-image-amd64", "vim", "vim-tiny")] == [True, True, False]


def test_a_pattern_that_would_mean_every_source_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one of origin"):
        policy(third_party=[{"packages": ["a"]}])
    with pytest.raises(ValueError, match="at least one of origin"):
        policy(third_party=[{"origin": ""}])


def test_without_sources_of_the_scope_nothing_can_be_said() -> None:
    assert not policy().has_scope([DEBIAN, VENDOR])
    assert policy().has_scope([DEBIAN, SECURITY])
    assert policy(scope="full").has_scope([DEBIAN])
