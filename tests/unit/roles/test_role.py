"""Each role keeps the conventions that ansible-lint does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_tool.rules import VERBS
from lab_tool.settings import PROJECT

ROLES = sorted(path for path in (PROJECT / "roles").iterdir() if path.is_dir())
RULE = re.compile(r"[A-H][0-9]{1,2}")
INVENTORY_GROUPS = re.compile(r"\b(campus|building|room|kind|os|profile|ring)_\w+")


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: Path) -> Mapping[str, Mapping[str, Any]]:
    """The documented inputs."""
    found: Mapping[str, Mapping[str, Any]] = read(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def tasks(role: Path) -> Iterator[dict[str, Any]]:
    """Every task of a role, those in blocks included."""

    def inside(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for item in items:
            yield item
            for part in ("block", "rescue", "always"):
                yield from inside(item.get(part, []))

    for path in sorted((role / "tasks").glob("*.yml")) + sorted((role / "handlers").glob("*.yml")):
        yield from inside(read(path))


each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@each_role
def test_defaults_and_specs_are_equal(role: Path) -> None:
    assert {name: option.get("default") for name, option in options(role).items()} == read(role / "defaults/main.yml")


@each_role
def test_every_input_says_what_it_means(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_")
        assert option["description"], name
        assert option["type"], name


@each_role
def test_internals_are_told_from_inputs(role: Path) -> None:
    for path in (role / "vars").glob("*.yml"):
        assert all(name.startswith(f"__{role.name}_") for name in read(path)), path
    registered = {task["register"] for task in tasks(role) if "register" in task}
    assert all(name.startswith(f"__{role.name}_") for name in registered)


@each_role
def test_inputs_are_never_overwritten(role: Path) -> None:
    for task in tasks(role):
        given = {**task.get("ansible.builtin.set_fact", {}), **task.get("vars", {})}
        assert not set(options(role)) & set(given), task["name"]


@each_role
def test_no_failure_is_ignored(role: Path) -> None:
    assert not [task["name"] for task in tasks(role) if "ignore_errors" in task or "ignore_unreachable" in task]


@each_role
def test_a_role_names_no_group_of_the_inventory(role: Path) -> None:
    for path in (*(role / "tasks").glob("*.yml"), *(role / "vars").glob("*.yml")):
        assert not INVENTORY_GROUPS.search(path.read_text(encoding="utf-8")), path


@each_role
def test_tags_are_always_the_verb_its_rules_and_known_controls(role: Path) -> None:
    controls = read(PROJECT / "lab_tool/rules/controls.yml")
    demanded = {rule for verb in VERBS.values() if verb.role == role.name for rule in verb.rules}
    tags = {tag for task in tasks(role) for tag in task.get("tags", [])}
    rules = {tag for tag in tags if RULE.fullmatch(tag)}
    assert rules == demanded
    used = tags - rules - {"always", role.name}
    assert used <= set(controls)
    assert {rule for tag in used for rule in controls[tag]["rules"]} <= rules


def test_every_control_is_a_tag_or_data_of_a_role() -> None:
    used = {tag for role in ROLES for task in tasks(role) for tag in task.get("tags", [])}
    for path in PROJECT.glob("roles/*/vars/controls/*.yml"):
        # Beside the controls of its area a file may hold what they share.
        used |= set(read(path).get(f"__{path.parents[2].name}_{path.stem}", {}))
    assert set(read(PROJECT / "lab_tool/rules/controls.yml")) <= used
