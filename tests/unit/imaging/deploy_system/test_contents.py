"""What the client needs is in the deploy system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_tool.imaging.deploy_system import contents
from lab_tool.settings import PROJECT

PACKAGE = PROJECT / "lab_tool"
STARTERS = {"tool", "_tool", "run", "process.run", "process.start", "start"}


def client() -> Iterator[Path]:
    """The modules that go along."""
    for name in contents.CODE:
        path = PACKAGE / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def started(path: Path) -> Iterator[str]:
    """The programs that a module starts by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in STARTERS and node.args):
            continue
        first = node.args[0]
        if isinstance(first, ast.List) and first.elts and isinstance(first.elts[0], ast.Constant):
            yield str(first.elts[0].value)


def test_every_program_that_the_client_starts_is_there() -> None:
    names = {Path(path).name for path in (*contents.PROGRAMS, *contents.LINKS)}
    wanted = {name for path in client() for name in started(path)}
    assert {"sfdisk", "mkfs.vfat", "ssh-keygen"} <= wanted
    assert wanted <= names


def test_a_program_that_is_not_there_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('process.run(["sfdisk", "--json"])\ntool(["mkfs.f2fs", *x], "no")\n', encoding="ascii")
    assert list(started(module)) == ["sfdisk", "mkfs.f2fs"]


@pytest.mark.parametrize("path", list(client()), ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_client_imports_only_what_goes_along(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for name in names:
            if name.startswith("lab_tool."):
                inside = name.removeprefix("lab_tool.").replace(".", "/")
                candidates = (
                    f"{inside}.py",
                    inside,
                    *(str(parent) for parent in Path(inside).parents),
                    f"{inside}/__init__.py",
                )
                assert set(candidates) & set(contents.CODE), f"{name} does not go along"
            top = name.partition(".")[0]
            assert top not in contents.PYTHON_LEFT_OUT and f"{top}.py" not in contents.PYTHON_LEFT_OUT, name
