"""The modules that run on PCs: documented as they are, and fit for the Python that is there."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
import yaml
from ansible.module_utils import basic

from lab_tool.settings import PROJECT

PLUGINS = PROJECT / "lab_tool/plugins"
MODULES = sorted((PLUGINS / "modules").glob("lab_*.py"))
# The oldest on a supported system: Ubuntu 22.04 has 3.10; one less costs nothing.
OLDEST_PYTHON = (3, 9)


class AskedError(Exception):
    """Stops a module once it has said which arguments it takes."""


def arguments(path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """What the module hands to Ansible."""
    taken: dict[str, Any] = {}

    def take(**given: Any) -> None:
        taken.update(given)
        raise AskedError

    monkeypatch.setattr(
        ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(PLUGINS / "module_utils")]
    )
    monkeypatch.setattr(basic, "AnsibleModule", take)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(AskedError):
        module.main()
    return taken


def documented(path: Path, name: str) -> Any:
    """One of the module's documentation texts."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{path.name} has no {name}")


def facts(options: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """What documentation and code must agree on, and nothing else."""
    return {
        name: {
            "type": option.get("type", "str"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "choices": option.get("choices"),
            "elements": option.get("elements"),
            "inner": facts(option.get(inner) or {}, inner),
        }
        for name, option in options.items()
    }


each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


@each_module
def test_the_documentation_is_the_truth(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(path, monkeypatch)
    written = documented(path, "DOCUMENTATION")
    assert written["module"] == path.stem
    assert facts(written.get("options") or {}, "suboptions") == facts(given["argument_spec"], "options")
    assert given["supports_check_mode"] is True
    assert written["attributes"]["check_mode"]["support"] == "full"


@each_module
def test_examples_and_results_are_there(path: Path) -> None:
    (example, *_) = documented(path, "EXAMPLES")
    assert path.stem in example
    assert all(value["description"] for value in documented(path, "RETURN").values())


@pytest.mark.parametrize(
    "path", [*MODULES, *sorted((PLUGINS / "module_utils").rglob("*.py"))], ids=lambda path: path.stem
)
def test_the_pc_s_python_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST_PYTHON)
