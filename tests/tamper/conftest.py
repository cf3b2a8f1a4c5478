"""A real log: written by the store, checkpointed by `publish`, with a folder as second place and a pinned key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lab_tool.cli import lab
from lab_tool.log.checkpoint import publish
from lab_tool.log.entry import Subject
from lab_tool.log.keys import allowed_signers, make_key
from lab_tool.log.note import NAMESPACE, Checkpoint, folder_name
from lab_tool.log.store import LogStore
from lab_tool.school.load import load_school
from lab_tool.school.model import LogPolicy
from lab_tool.settings import PROJECT, Settings
from tests.tamper import forge

SCRIPT = PROJECT / "docs" / "verify_log.py"
# Entries between two checkpoints; each checkpoint adds the entry that tells of it.
BLOCK = 9
BLOCKS = 3
ORIGIN = "school.example/lab-log"


@dataclass
class Clock:
    """A clock that goes on by a second at every look."""

    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True)
class Verdict:
    """What a verifier said: exit code, kinds of findings, and all its text."""

    code: int
    kinds: tuple[str, ...]
    text: str
    notes: tuple[str, ...] = ()


@dataclass
class RealLog:
    """The log under attack, and the two verifiers."""

    settings: Settings
    policy: LogPolicy
    clock: Clock
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> Path:
        return self.settings.log / "entries.jsonl"

    @property
    def local(self) -> Path:
        return self.settings.log / "checkpoints"

    @property
    def second(self) -> Path:
        return self.settings.inventory.parent / "second" / folder_name(self.policy.origin)

    @property
    def key(self) -> Path:
        return self.settings.keys / "log"

    @property
    def signers(self) -> Path:
        return self.settings.inventory.parent / "signers"

    def add(self, count: int) -> None:
        store = LogStore(self.settings.log, self.clock)
        for number in range(count):
            subject = Subject(run="r-1", hosts=(f"a301-{number:02d}",), rooms=("a301",), rules=("B2",))
            body = {"task": "Linux | Upgrade", "result": {"rc": 0, "packages": "libssl3 打包"}}
            store.append(actor="li-na", kind="task.changed", subject=subject, body=body)

    def publish(self) -> None:
        assert publish(self.settings, self.policy, self.clock).reached

    def lines(self) -> list[bytes]:
        return forge.read(self.entries)

    def put(self, lines: list[bytes]) -> None:
        forge.write(self.entries, lines)

    def forget_index(self) -> None:
        shutil.rmtree(self.settings.log / "index", ignore_errors=True)

    def keep(self, folder: Path, checkpoint: Checkpoint) -> None:
        (folder / checkpoint.file_name).write_bytes(checkpoint.encode())

    def tool(self, *arguments: str) -> Verdict:
        """`lab log verify`."""
        result = CliRunner().invoke(lab, ["log", "verify", "--json", *arguments], env=self.environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        data = json.loads(result.stdout)["data"]
        told = "\n".join(finding["text"] for finding in data["findings"])
        kinds = tuple(finding["kind"] for finding in data["findings"])
        return Verdict(result.exit_code, kinds, told, tuple(note["kind"] for note in data["notes"]))

    def script(self, *checkpoints: Path) -> Verdict:
        """`docs/verify_log.py`, as an auditor starts it, on the checkpoints of both places."""
        shown = checkpoints or (*sorted(self.second.glob("*.txt")), *sorted(self.local.glob("*.txt")))
        done = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(self.signers), str(self.entries), *map(str, shown)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        lines = done.stdout.splitlines()
        kinds = tuple(line.split(":")[0] for line in lines if ": " in line and not line.startswith("note: "))
        return Verdict(done.returncode, kinds, done.stdout)


@pytest.fixture
def real_log(tmp_path: Path) -> RealLog:
    """Three blocks of entries, each with its checkpoint here and in the second place."""
    inventory = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventory", inventory)
    (tmp_path / "second").mkdir()
    settings = Settings(PROJECT, inventory, tmp_path / "state")
    public = make_key(settings.keys / "log", "test").with_suffix(".pub").read_text().strip()
    log = {"origin": ORIGIN, "keys": [public], "second_places": [{"folder": "../second"}], "max_checkpoint_age_days": 8}
    site = inventory / "site.yml"
    site.write_text(yaml.safe_dump({**yaml.safe_load(site.read_text()), "log": log}))
    policy = load_school(inventory).log
    environment = {"LAB_INVENTORY": str(inventory), "LAB_STATE": str(settings.state), "LAB_LANG": "en"}
    found = RealLog(settings, policy, Clock(datetime.now(UTC) - timedelta(hours=1)), environment)
    found.signers.write_text(allowed_signers(policy.keys, NAMESPACE))
    for _ in range(BLOCKS):
        found.add(BLOCK)
        found.publish()
    return found


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A key that nobody trusts."""
    return make_key(tmp_path / "stranger" / "key", "stranger")


@pytest.fixture
def both(real_log: RealLog) -> Callable[..., None]:
    """Ask both verifiers, and hold each to the kind and the entry it must name."""

    def ask(kind: str, *named: str, in_script: tuple[str, ...] | None = None) -> None:
        for verdict, names in ((real_log.tool(), named), (real_log.script(), in_script or named)):
            assert verdict.code in (1, 4), verdict
            assert kind in verdict.kinds, verdict
            for name in names:
                assert name in verdict.text, verdict

    return ask


os.environ.setdefault("PYTHONUTF8", "1")
