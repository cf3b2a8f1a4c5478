"""Not only the named ways: whatever single byte is changed, lost or added, both verifiers say so."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab_tool import signature
from lab_tool.clock import utc_text
from lab_tool.log.entry import Subject
from lab_tool.log.keys import make_key
from lab_tool.log.store import LogStore
from lab_tool.log.verify.judge import verify
from lab_tool.log.verify.report import Question, Report, Shown
from lab_tool.school.model import Key
from tests.tamper import forge
from tests.tamper.conftest import SCRIPT

ORIGIN = "any.example/log"
NOW = datetime.now(UTC)


class Sealed:
    """A log of six entries, all covered by one checkpoint from elsewhere."""

    def __init__(self, folder: Path) -> None:
        moments = iter(NOW - timedelta(hours=1) + timedelta(seconds=n) for n in range(6))
        store = LogStore(folder / "log", lambda: next(moments))
        for number in range(6):
            body = {"text": "打包\u2028 \x1b[2J", "number": number}
            store.append(actor="li-na", kind="task.changed", subject=Subject(hosts=("a301-01",)), body=body)
        self.entries = folder / "log" / "entries.jsonl"
        self.data = self.entries.read_bytes()
        key = make_key(folder / "key", "test")
        self.checkpoint = forge.signed(forge.read(self.entries), key, ORIGIN, utc_text(NOW)).encode()
        self.key = Key(signature.public_line(key), None, None)
        self.shown = folder / "checkpoint.txt"
        self.shown.write_bytes(self.checkpoint)
        self.signers = folder / "signers"
        self.signers.write_text(f"lab-log {self.key.line}\n")

    def judged(self, data: bytes) -> Report:
        self.entries.write_bytes(data)
        shown = (Shown("elsewhere", "checkpoint.txt", self.checkpoint),)
        return verify(Question(self.entries, ORIGIN, (self.key,), True, shown, datetime.now(UTC), max_age_days=8))

    def script(self, data: bytes) -> int:
        self.entries.write_bytes(data)
        command = [sys.executable, str(SCRIPT), str(self.signers), str(self.entries), str(self.shown)]
        return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return Sealed(tmp_path_factory.mktemp("sealed"))


def test_unchanged(sealed: Sealed) -> None:
    assert sealed.judged(sealed.data).verified
    assert sealed.script(sealed.data) == 0


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte(sealed: Sealed, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sealed.data) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != sealed.data[at]))
    assert not sealed.judged(sealed.data[:at] + bytes([byte]) + sealed.data[at + 1 :]).verified


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_lost_bytes(sealed: Sealed, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sealed.data) - 1))
    count = data.draw(st.integers(1, 600))
    assert not sealed.judged(sealed.data[:at] + sealed.data[at + count :]).verified


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_added_bytes(sealed: Sealed, data: st.DataObject) -> None:
    """Before the end; behind it they are a torn end, or an entry that does not fit."""
    at = data.draw(st.integers(0, len(sealed.data) - 1))
    more = data.draw(st.binary(min_size=1, max_size=50))
    changed = sealed.data[:at] + more + sealed.data[at:]
    if changed != sealed.data:
        assert not sealed.judged(changed).verified


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_in_the_script(sealed: Sealed, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sealed.data) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != sealed.data[at]))
    assert sealed.script(sealed.data[:at] + bytes([byte]) + sealed.data[at + 1 :]) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_what_is_signed(sealed: Sealed, data: st.DataObject) -> None:
    genuine = sealed.checkpoint
    at = data.draw(st.integers(0, genuine.index(b"\n\n")))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != genuine[at]))
    sealed.checkpoint = genuine[:at] + bytes([byte]) + genuine[at + 1 :]
    try:
        assert not sealed.judged(sealed.data).verified
    finally:
        sealed.checkpoint = genuine


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=400))
def test_any_file_at_all_gets_a_verdict(sealed: Sealed, junk: bytes) -> None:
    assert not sealed.judged(junk).verified
