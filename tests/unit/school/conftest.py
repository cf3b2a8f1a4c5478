"""Fixtures for inventories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.school.small import write


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A small, sound inventory."""
    return write(tmp_path / "inventory")
