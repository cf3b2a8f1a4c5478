"""The school's authority for backup servers: whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab_tool.plugins.modules import lab_backup_certificate as certificate


class FailedError(Exception):
    """As `fail_json` ends a module."""


class Module:
    """openssl on a disk that is full, or not."""

    def __init__(self, *, full: bool) -> None:
        self.full = full

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        """Write what fits."""
        for option in ("-keyout", "-out"):
            Path(argv[argv.index(option) + 1]).write_text("" if self.full else option, encoding="ascii")
        return int(self.full), "", "No space left on device"

    def fail_json(self, **told: Any) -> None:
        """End."""
        raise FailedError(told["msg"])


def test_half_an_authority_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="No space left"):
        certificate._authority(Module(full=True), tmp_path)
    assert certificate._authority(Module(full=False), tmp_path) is True
    assert (tmp_path / "ca.crt").read_text(encoding="ascii") == "-out"
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert certificate._authority(Module(full=True), tmp_path) is False
