"""The office in which changes are tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.office import Office, make_office


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A school in memory, with real keys and a real log."""
    return make_office(tmp_path, monkeypatch)
