"""`lab` in this process, on a school of one room."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab_tool.cli import lab
from tests.support.school import TECHNICIAN, Seat, SmallSchool, make_school

SEATS = [Seat(f"demo-{seat:02d}", f"198.18.0.{seat}", f"02:00:00:00:00:{seat:02x}") for seat in range(1, 5)]


@pytest.fixture
def school(tmp_path: Path) -> SmallSchool:
    """A school of one room; nobody listens at its addresses, and nobody is asked."""
    for name in ("ssh", "known_hosts"):
        (tmp_path / name).write_text("", encoding="utf-8")
    return make_school(tmp_path, "demo", SEATS, ssh_key=tmp_path / "ssh", known_hosts=tmp_path / "known_hosts")


def run(school: SmallSchool, *arguments: str, person: str = TECHNICIAN) -> Result:
    """Run `lab` in this process."""
    return CliRunner().invoke(lab, arguments, env=school.environment(person), catch_exceptions=False)
