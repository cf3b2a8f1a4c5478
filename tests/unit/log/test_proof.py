"""One entry, proved to somebody who sees no other; also by the auditor's script."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab_tool.errors import UsageError, VerificationError
from lab_tool.log.checkpoint import local_checkpoints, publish
from lab_tool.log.entry import Entry
from lab_tool.log.keys import allowed_signers, make_key, trusted_keys
from lab_tool.log.note import NAMESPACE, parse
from lab_tool.log.proof import check_proof, prove, read_proof
from lab_tool.school.model import Key
from lab_tool.settings import PROJECT, Settings
from tests.tamper import forge
from tests.unit.log.conftest import ORIGIN, Clock, policy

Add = Callable[[int], list[Entry]]


@pytest.fixture
def keys(settings: Settings, add: Add, clock: Clock) -> tuple[Key, ...]:
    """A log of eleven entries, with checkpoints of four and ten; the keys to trust."""
    add(4)
    publish(settings, policy(), clock)
    add(5)
    publish(settings, policy(), clock)
    return trusted_keys(settings, policy()).keys


def script(settings: Settings, document: Any, keys: tuple[Key, ...]) -> int:
    """The exit code of docs/verify_log.py."""
    folder = settings.inventory.parent
    (folder / "proof.json").write_text(json.dumps(document))
    (folder / "signers").write_text(allowed_signers(keys, NAMESPACE))
    command = [sys.executable, str(PROJECT / "docs" / "verify_log.py"), "signers", "proof.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


@pytest.mark.parametrize("seq", range(10))
def test_any_entry_against_the_newest(settings: Settings, keys: tuple[Key, ...], clock: Clock, seq: int) -> None:
    document = json.loads(json.dumps(prove(settings.log, seq, None)))
    proved = check_proof(document, keys, clock.now)
    assert (proved.entry.seq, proved.checkpoint.size) == (seq, 10)
    assert document["entry"].encode() == forge.read(settings.log / "entries.jsonl")[seq]
    assert script(settings, document, keys) == 0


def test_it_shows_no_other_entry(settings: Settings, keys: tuple[Key, ...]) -> None:
    text = json.dumps(prove(settings.log, 2, None))
    assert "a301-02" in text
    assert "a301-01" not in text
    assert "a301-03" not in text


def test_against_an_older_checkpoint(settings: Settings, keys: tuple[Key, ...], clock: Clock) -> None:
    older = parse(local_checkpoints(settings.log)[0][1])
    assert check_proof(prove(settings.log, 2, older), keys, clock.now).checkpoint.size == 4
    with pytest.raises(UsageError, match="no checkpoint covers"):
        prove(settings.log, 7, older)


@pytest.mark.parametrize("seq", [11, -1, 10**30])
def test_there_is_no_such_entry(settings: Settings, keys: tuple[Key, ...], seq: int) -> None:
    with pytest.raises(UsageError, match="no entry"):
        prove(settings.log, seq, None)


def test_the_newest_entry_is_not_covered_yet(settings: Settings, keys: tuple[Key, ...]) -> None:
    with pytest.raises(UsageError, match="no checkpoint covers") as raised:
        prove(settings.log, 10, None)
    assert raised.value.next_command == "lab log checkpoint"


def test_a_checkpoint_of_another_log(settings: Settings, keys: tuple[Key, ...]) -> None:
    other = forge.signed_root(9, bytes(32), settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    longer = forge.signed_root(90, bytes(32), settings.keys / "log", ORIGIN, "2026-11-24T09:00:00.000000Z")
    for checkpoint in (other, longer):
        with pytest.raises(VerificationError, match="not the one of the checkpoint"):
            prove(settings.log, 2, checkpoint)


def altered(document: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**copy.deepcopy(document), key: value}


def test_any_change_breaks_it(settings: Settings, keys: tuple[Key, ...], clock: Clock, tmp_path: Path) -> None:
    document = prove(settings.log, 2, None)
    others = prove(settings.log, 3, None)
    wrong = [
        altered(document, "entry", document["entry"].replace("li-na", "wu-li")),
        altered(document, "entry", document["entry"] + " "),
        altered(document, "entry", others["entry"]),
        altered(document, "seq", 3),
        altered(document, "proof", others["proof"]),
        altered(document, "proof", document["proof"][:-1]),
        altered(document, "proof", [*document["proof"], "00" * 32]),
        altered(document, "checkpoint", document["checkpoint"].replace("\n10\n", "\n11\n")),
    ]
    stranger = make_key(tmp_path / "stranger", "x")
    forged = forge.signed(
        forge.read(settings.log / "entries.jsonl")[:10], stranger, ORIGIN, "2026-11-24T09:00:00.000000Z"
    )
    wrong.append(altered(document, "checkpoint", forged.encode().decode()))
    for each in wrong:
        with pytest.raises(VerificationError):
            check_proof(each, keys, clock.now)
        assert script(settings, each, keys) == 1


@pytest.mark.parametrize("junk", [[], {}, 5, None, {"v": 1}, {"entry": 5}, "text"])
def test_junk_is_no_proof(keys: tuple[Key, ...], clock: Clock, junk: Any) -> None:
    with pytest.raises(UsageError, match="not a proof"):
        check_proof(junk, keys, clock.now)


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"seq": "2"}, {"seq": True}, {"proof": ["zz"]}, {"proof": [5]}, {"entry": "é"}, {"checkpoint": ""}],
)
def test_what_is_not_of_this_form_is_no_proof(
    settings: Settings, keys: tuple[Key, ...], clock: Clock, change: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="not a proof"):
        check_proof({**prove(settings.log, 2, None), **change}, keys, clock.now)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}'])
def test_a_file_that_is_no_json(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        read_proof(path)
