"""Every command speaks `--json`, explains itself with examples, and ends in a known exit code."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from lab_tool.cli import COMMANDS, lab
from lab_tool.errors import LabError


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, with the words that name it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
            if not command.invoke_without_command:
                continue
        yield " ".join((*path, name)), command


ALL = dict(commands(lab))


def test_the_commands_are_there() -> None:
    assert {name.split()[0] for name in ALL} == set(COMMANDS)


@pytest.mark.parametrize("name", ALL)
def test_each_command_answers_in_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in ALL[name].params)


@pytest.mark.parametrize("name", ALL)
def test_each_command_has_examples(name: str) -> None:
    text = ALL[name].help or ""
    assert "Example" in text, text
    assert f"lab {name.split()[0]}" in text


def test_the_exit_codes_are_those_of_the_design() -> None:
    def family(kind: type[LabError]) -> Iterator[type[LabError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from family(child)

    assert {kind.exit_code for kind in family(LabError)} == {1, 2, 3, 4, 5}
