"""hivex of the distribution, for those who test registry hives."""

from __future__ import annotations

import pytest

from tests.support.windows import PACKAGES, hivex_for_this_python


@pytest.fixture(scope="session")
def hivex(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let `import hivex` work, or skip."""
    if not (PACKAGES / "hivex").is_dir():
        pytest.skip("python3-hivex is not installed")
    hivex_for_this_python(tmp_path_factory.mktemp("hivex"))
