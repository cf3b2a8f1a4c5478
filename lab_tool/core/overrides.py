"""Settings given for one plan with `--set`: inputs the role declares, of the type it declares, and never code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab_tool.canonical import Json
from lab_tool.core.plain_text import unfit_in
from lab_tool.errors import UsageError
from lab_tool.rules import Verb

TEMPLATE_MARKS = ("{{", "{%", "{#", "}}", "%}", "#}")
TRUE, FALSE = ("true", "yes"), ("false", "no")
LONGEST_VALUE = 1000
SCALARS: Mapping[str, type] = {"str": str, "path": str, "int": int, "bool": bool}
KINDS: Mapping[str, type] = {**SCALARS, "list": list}

Options = Mapping[str, Mapping[str, Any]]


def parse_overrides(project: Path, verb: Verb, typed: Sequence[str]) -> dict[str, Json]:
    """Values of the declared types from `KEY=VALUE` texts; a list is written with commas. Raises `UsageError`."""
    options = _options(project, verb)
    overrides: dict[str, Json] = {}
    for text in typed:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes KEY=VALUE, not {text!r}", next_command="lab plan --help")
        if name in overrides:
            raise UsageError(f"{name} is set twice")
        option = _option(options, verb, name)
        overrides[name] = _value(name, option, value)
    return check_overrides(project, verb, overrides)


def check_overrides(project: Path, verb: Verb, overrides: Mapping[str, Json]) -> dict[str, Json]:
    """The overrides, if the role declares each and each fits. Raises `UsageError`."""
    if not overrides:
        return {}
    options = _options(project, verb)
    for name, value in overrides.items():
        option = _option(options, verb, name)
        kind = _kind(name, option)
        if not _is(value, kind):
            raise UsageError(f"{name} takes a value of type {kind}, not {value!r}")
        for part in value if isinstance(value, list) else [value]:
            if isinstance(value, list) and not _is(part, _elements(option)):
                raise UsageError(f"{name} takes a list of {_elements(option)}, not {part!r} in it")
            _check_part(name, option, part)
    return dict(overrides)


def _options(project: Path, verb: Verb) -> Options:
    if not verb.role:
        return {}
    path = project / "roles" / verb.role / "meta" / "argument_specs.yml"
    try:
        specs = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        options: Options = specs["argument_specs"][verb.entry]["options"]
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"no inputs can be read here: {error}", where=str(path)) from error
    return options


def _option(options: Options, verb: Verb, name: str) -> Mapping[str, Any]:
    public = sorted(name for name, option in options.items() if not name.startswith("_") and not option.get("no_log"))
    if name not in public:
        raise UsageError(f"{verb.id} takes no setting {name!r}; it takes {', '.join(public) or 'none'}")
    return options[name]


def _kind(name: str, option: Mapping[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    if kind == "list" and _elements(option) not in SCALARS:
        kind = f"list of {_elements(option)}"
    if kind not in KINDS:
        raise UsageError(f"{name} is of type {kind}, which can't be set for one plan; set it in inventory/group_vars")
    return kind


def _elements(option: Mapping[str, Any]) -> str:
    return str(option.get("elements", "str"))


def _is(value: object, kind: str) -> bool:
    # bool is an int to Python, and is none to a role.
    return isinstance(value, KINDS[kind]) and not (kind == "int" and isinstance(value, bool))


def _value(name: str, option: Mapping[str, Any], text: str) -> Json:
    kind = _kind(name, option)
    if kind != "list":
        return _scalar(name, kind, text)
    return [_scalar(name, _elements(option), part.strip()) for part in text.split(",")] if text else []


def _scalar(name: str, kind: str, text: str) -> str | int | bool:
    if kind == "bool":
        if text.lower() not in TRUE + FALSE:
            raise UsageError(f"{name} takes true or false, not {text!r}")
        return text.lower() in TRUE
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{name} takes a whole number, not {text!r}") from None
    return text


def _check_part(name: str, option: Mapping[str, Any], part: object) -> None:
    if "choices" in option and part not in option["choices"]:
        raise UsageError(f"{name} takes one of {', '.join(map(str, option['choices']))}, not {part!r}")
    if not isinstance(part, str):
        return
    if any(mark in part for mark in TEMPLATE_MARKS):
        raise UsageError(f"template text in {name}: Ansible would run it on the control node")
    unfit = unfit_in(part, LONGEST_VALUE)
    if unfit:
        raise UsageError(f"{name} holds {unfit}")
