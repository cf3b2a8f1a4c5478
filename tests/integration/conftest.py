"""A room of real PCs with a school around it, and the steps that tests take again and again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, find
from lab_tool.settings import PROJECT
from tests.conftest import BuildRoom
from tests.support.school import DIRECTOR, TECHNICIAN, Seat, SmallSchool, make_school
from tests.testbed.room import TestHost, TestRoom

REFUSED, HOST_FAILED = 5, 3


@dataclass(frozen=True, slots=True)
class LabRoom:
    """The PCs, and the school that manages them."""

    pcs: TestRoom
    school: SmallSchool

    @property
    def hosts(self) -> tuple[TestHost, ...]:
        """The PCs in seat order."""
        return self.pcs.hosts

    def lab(self, *arguments: str, person: str = TECHNICIAN, code: int = 0) -> str:
        """Run `lab` and hold it to an exit code; what it said on both channels."""
        done = self.school.lab(*arguments, person=person)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def json(self, *arguments: str, person: str = TECHNICIAN, code: int = 0) -> Any:
        """The `data` of a command that answers in JSON."""
        done = self.school.lab(*arguments, "--json", person=person)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)["data"]

    def request(self, *arguments: str, person: str = TECHNICIAN) -> str:
        """Request `patch` on the room (or as the arguments say); the change's id."""
        where = arguments or ("--room", self.school.room)
        answer = self.json("change", "request", "patch", *where, "--why", "Term starts", person=person)
        return str(answer["id"])

    def approved(self, *arguments: str) -> str:
        """A change that the technician requested and the director approved."""
        change = self.request(*arguments)
        self.lab("change", "approve", change, person=DIRECTOR)
        return change

    def entries(self, *kinds: str, run: str = "") -> list[Entry]:
        """Entries of the log."""
        return find(self.school.state / "log", Query(kinds=kinds, run=run))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `lab` and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-m", "lab_tool", *arguments],
            env=self.school.environment(),
            cwd=PROJECT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def last_run(self) -> str:
        """The run that began last."""
        return self.entries("run.started")[-1].subject.run


def wait_until(there: Callable[[], bool], patience: float = 60.0) -> None:
    """Wait until something is so; fails after `patience` seconds."""
    limit = time.monotonic() + patience
    while not there():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def lab_room(room: BuildRoom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabRoom]:
    """Four PCs `a301-01` to `a301-04`, and a fresh school and log around them."""
    pcs = room(4, name="a301", names=lambda seat: f"a301-{seat:02d}")
    yield LabRoom(pcs, school_around(pcs, tmp_path_factory.mktemp("school") / "s"))


def school_around(pcs: TestRoom, folder: Path) -> SmallSchool:
    """A school with one room of those PCs."""
    seats = [Seat(host.name, host.address, host.mac) for host in pcs.hosts]
    return make_school(folder, "a301", seats, ssh_key=pcs.private_key, known_hosts=pcs.known_hosts)
