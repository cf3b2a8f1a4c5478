"""Controls, catalogue and profiles name the same things."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lab_tool.settings import PROJECT

ROLE = PROJECT / "roles" / "lockdown"
CATALOGUE = yaml.safe_load((PROJECT / "lab_tool/rules/controls.yml").read_text(encoding="utf-8"))
PROFILES = yaml.safe_load((ROLE / "vars/profiles.yml").read_text(encoding="utf-8"))["__lockdown_profiles"]
SITE = yaml.safe_load((PROJECT / "inventory/site.yml").read_text(encoding="utf-8"))


def controls() -> dict[str, dict[str, Any]]:
    """Every control as written, templates and all."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROLE / "vars/controls").glob("*.yml")):
        area = yaml.safe_load(path.read_text(encoding="utf-8")).get(f"__lockdown_{path.stem}", {})
        assert not found.keys() & area.keys()
        assert all(name.startswith(f"{path.stem}_") for name in area)
        found |= area
    return found


CONTROLS = controls()


def test_every_control_is_in_the_catalogue_with_its_rules_and_names() -> None:
    listed = {name for name, control in CATALOGUE.items() if control.get("role") == "lockdown"}
    assert listed == set(CONTROLS)
    assert all(CATALOGUE[name]["rules"] and CATALOGUE[name]["name"].keys() == {"zh", "en"} for name in CONTROLS)


def test_those_that_can_lock_the_administrator_out_are_listed() -> None:
    listed = {name for name, control in CATALOGUE.items() if control.get("lockout")}
    assert listed == {name for name, control in CONTROLS.items() if control.get("lockout")}
    assert listed


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_controls_there_are_and_none_twice(profile: str) -> None:
    names = PROFILES[profile]
    assert len(set(names)) == len(names)
    assert set(names) <= set(CONTROLS)


def test_every_profile_of_the_school_has_its_controls() -> None:
    assert set(PROFILES) == set(SITE["profiles"])


def test_every_control_is_on_somewhere() -> None:
    assert {name for names in PROFILES.values() for name in names} == set(CONTROLS)


@pytest.mark.parametrize("profile", PROFILES)
def test_rules_of_polkit_are_roots_after_a_reboot_whatever_else_is_on(profile: str) -> None:
    writes = [name for name, control in CONTROLS.items() if "/etc/polkit-1/rules.d/" in str(control)]
    assert len(writes) > 1
    assert "baseline_polkit" in PROFILES[profile]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_says_what_is_in_effect(name: str) -> None:
    """Either its items are themselves what is in effect, or a check asks."""
    control = CONTROLS[name]
    assert control.get("checks") or control.keys() & {"packages", "members", "accounts", "sysctl", "units", "files"}


def test_no_two_controls_write_the_same_file() -> None:
    owners: dict[str, str] = {}
    for name, control in CONTROLS.items():
        files = control.get("files", ())
        if isinstance(files, str):
            # Made by a template as a whole.
            continue
        for file in files:
            if file.get("state", "file") in ("file", "absent"):
                assert owners.setdefault(file["path"], name) == name
