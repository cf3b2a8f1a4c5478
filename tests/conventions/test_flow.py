"""Data flows one way, and each thing is done in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_tool.settings import PROJECT

PACKAGE = PROJECT / "lab_tool"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "modules" not in path.parts)
LONGEST_MODULE = 300


def imports(path: Path) -> Iterator[str]:
    """The full names of everything a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls(path: Path) -> Iterator[str]:
    """What a module calls, as written: `print`, `sys.exit`, `datetime.now`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def inside(folder: str) -> list[Path]:
    """The modules below a folder of the package."""
    return [path for path in MODULES if path.is_relative_to(PACKAGE / folder)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_programs_are_started_in_one_place(path: Path) -> None:
    if path != PACKAGE / "process.py":
        started = {"subprocess.run", "subprocess.Popen", "subprocess.check_output", "os.system", "os.popen"}
        assert not started & set(calls(path))


@pytest.mark.parametrize("folder", ["core", "school", "log", "recording", "rules"])
def test_what_is_inside_does_not_know_the_terminal(folder: str) -> None:
    for path in inside(folder):
        assert not {name for name in imports(path) if name.startswith(("click", "rich", "lab_tool.cli"))}, path
        assert not {"print", "input", "sys.exit", "exit"} & set(calls(path)), path


@pytest.mark.parametrize("folder", ["core", "school", "log"])
def test_the_clock_is_handed_in(folder: str) -> None:
    reading = {"datetime.now", "datetime.utcnow", "time.time", "date.today", "utc_now"}
    for path in inside(folder):
        assert not reading & set(calls(path)), path


def test_the_log_knows_nothing_of_what_is_logged() -> None:
    known = ("lab_tool.core", "lab_tool.recording", "lab_tool.cli", "lab_tool.plugins", "ansible")
    for path in inside("log"):
        assert not {name for name in imports(path) if name.startswith(known)}, path


def test_the_school_knows_nothing_to_its_right() -> None:
    right = ("lab_tool.core", "lab_tool.recording", "lab_tool.cli", "lab_tool.log", "ansible")
    for path in inside("school"):
        assert not {name for name in imports(path) if name.startswith(right)}, path


def test_the_recorder_starts_fast() -> None:
    heavy = ("pydantic", "rich", "click", "lab_tool.cli", "lab_tool.school.load")
    for path in inside("recording"):
        assert not {name for name in imports(path) if name.startswith(heavy)}, path


def test_no_module_is_two_things() -> None:
    long = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {path: lines for path, lines in long.items() if lines > LONGEST_MODULE}
