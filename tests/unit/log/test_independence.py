"""The verifier is a second reader of the format, not a second call of the writer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lab_tool.settings import PROJECT

VERIFIER = PROJECT / "lab_tool" / "log" / "verify"
# Gathers checkpoints and keys, which is no part of the verdict.
GATHERING = "sources.py"
MODULES = sorted(path for path in VERIFIER.glob("*.py") if path.name != GATHERING)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_verdict_shares_no_code_with_the_writer(path: Path) -> None:
    log = {name for name in imported(path) if name.startswith("lab_tool.log")}
    assert not {name for name in log if not name.startswith("lab_tool.log.verify")}


def test_the_writer_shares_no_code_with_the_verdict() -> None:
    for path in (PROJECT / "lab_tool" / "log").rglob("*.py"):
        if path.parent != VERIFIER:
            assert not {name for name in imported(path) if name.startswith("lab_tool.log.verify")}, path


def test_the_auditors_script_needs_nothing_but_python() -> None:
    found = imported(PROJECT / "docs" / "verify_log.py")
    assert not {name for name in found if name.startswith(("lab_tool", "yaml", "cryptography"))}
    allowed = {"base64", "json", "os", "re", "subprocess", "sys", "tempfile", "datetime", "hashlib", "pathlib"}
    assert {name.split(".")[0] for name in found} <= allowed
