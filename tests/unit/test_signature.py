"""Signatures by ssh-keygen, with every type of key that needs no hardware."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lab_tool.errors import LabError, UsageError
from lab_tool.school.model import Key
from lab_tool.signature import is_public_line, public_line, sign, signer_of
from tests.support.office import key_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MESSAGE = b'{"a":1}\x00\xff\n'


def new_key(path: Path, *options: str, passphrase: str = "") -> Path:
    """A key pair of its own."""
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, *options, "-f", str(path)], check=True)
    return path


def listed(path: Path, first: date | None = None, last: date | None = None) -> Key:
    """Its line as in people.yml, comment and all."""
    return Key(public_line(path) + " a-comment", first, last)


@pytest.mark.parametrize("options", [["-t", "ed25519"], ["-t", "ecdsa"], ["-t", "rsa"], ["-t", "rsa", "-m", "PEM"]])
def test_each_type_of_key(tmp_path: Path, options: list[str]) -> None:
    key = new_key(tmp_path / "key", *options)
    armored = sign(MESSAGE, key, "lab-test")
    assert armored.startswith("-----BEGIN SSH SIGNATURE-----\n")
    candidates = [("b", listed(key_of("b"))), ("a", listed(key))]
    assert signer_of(MESSAGE, armored, "lab-test", candidates, NOON) == "a"


def test_anything_else_is_nobody_s() -> None:
    armored = sign(MESSAGE, key_of("a"), "lab-test")
    mine = [("a", listed(key_of("a")))]
    assert signer_of(MESSAGE, armored, "lab-test", mine, NOON) == "a"
    assert signer_of(MESSAGE + b"\n", armored, "lab-test", mine, NOON) is None
    assert signer_of(MESSAGE, armored, "lab-tes", mine, NOON) is None
    assert signer_of(MESSAGE, armored, "lab-test", [("b", listed(key_of("b")))], NOON) is None
    assert signer_of(MESSAGE, armored, "lab-test", [], NOON) is None
    for rubbish in ("", "x" * 100_000, "\udcff", armored.replace("U1NI", "U1NJ"), armored[: len(armored) // 2]):
        assert signer_of(MESSAGE, rubbish, "lab-test", mine, NOON) is None


def test_the_days_of_a_key_are_those_of_the_zone_asked_in() -> None:
    key = key_of("a")
    armored = sign(MESSAGE, key, "lab-test")
    day = date(2026, 11, 24)
    for first, last, at, good in (
        (day, day, NOON, True),
        (None, date(2026, 11, 23), NOON, False),
        (date(2026, 11, 25), None, NOON, False),
        (None, day, datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC), True),
        (day, None, datetime(2026, 11, 24, 0, 0, tzinfo=UTC), True),
        (None, day, datetime(2026, 11, 24, 17, 0, tzinfo=UTC).astimezone(ZoneInfo("Asia/Shanghai")), False),
    ):
        found = signer_of(MESSAGE, armored, "lab-test", [("a", listed(key, first, last))], at)
        assert found == ("a" if good else None), (first, last, at)


def test_a_key_that_stands_twice_counts_on_the_days_of_either() -> None:
    armored = sign(MESSAGE, key_of("a"), "lab-test")
    candidates = [("old", listed(key_of("a"), None, date(2026, 1, 1))), ("new", listed(key_of("a")))]
    assert signer_of(MESSAGE, armored, "lab-test", candidates, NOON) == "new"


@pytest.mark.parametrize(
    "line",
    [
        'namespaces="x" ssh-ed25519 AAAA',
        "ssh-ed25519",
        "",
        "a\nb * ssh-ed25519 AAAA",
        "cert-authority ssh-ed25519",
    ],
)
def test_a_line_that_is_no_key_verifies_nothing(line: str) -> None:
    armored = sign(MESSAGE, key_of("a"), "lab-test")
    assert signer_of(MESSAGE, armored, "lab-test", [("bad", Key(line, None, None))], NOON) is None
    both = [("bad", Key(line, None, None)), ("a", listed(key_of("a")))]
    assert signer_of(MESSAGE, armored, "lab-test", both, NOON) == "a"


def test_an_id_is_no_pattern() -> None:
    armored = sign(MESSAGE, key_of("a"), "lab-test")
    assert signer_of(MESSAGE, armored, "lab-test", [("*,!x", listed(key_of("a")))], NOON) == "*,!x"


def test_a_key_that_an_agent_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(tmp_path / "key", "-t", "ed25519")
    started = subprocess.run(["ssh-agent", "-c"], capture_output=True, text=True, check=True).stdout.split()
    socket, pid = started[2].rstrip(";"), started[5].rstrip(";")
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": socket}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True)
        candidates = [("a", listed(key))]
        key.unlink()
        public = key.with_suffix(".pub")
        with pytest.raises(LabError, match="neither in a file nor in an agent"):
            sign(MESSAGE, public, "lab-test")
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        assert signer_of(MESSAGE, sign(MESSAGE, public, "lab-test"), "lab-test", candidates, NOON) == "a"
    finally:
        subprocess.run(["kill", pid], check=True)


class TestWhatIsWrong:
    def test_no_key(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no key here") as error:
            sign(MESSAGE, tmp_path / "none", "lab-test")
        assert error.value.where == str(tmp_path / "none")

    def test_no_key_but_something_else(self, tmp_path: Path) -> None:
        key = tmp_path / "key"
        key.write_text("rubbish\n", encoding="utf-8")
        key.chmod(0o600)
        with pytest.raises(LabError, match=r"ssh-keygen could not use this key|not an SSH public key"):
            public_line(key)
        key.rename(tmp_path / "key.pub")
        with pytest.raises(LabError, match="not an SSH public key"):
            public_line(tmp_path / "key.pub")

    def test_a_key_that_others_may_read(self, tmp_path: Path) -> None:
        key = new_key(tmp_path / "key", "-t", "ed25519")
        key.chmod(0o644)
        with pytest.raises(LabError, match="others may read this private key; run chmod 600"):
            sign(MESSAGE, key, "lab-test")

    def test_a_passphrase_and_nobody_to_ask(self, tmp_path: Path) -> None:
        key = new_key(tmp_path / "key", "-t", "ed25519", passphrase="correct horse")
        assert is_public_line(public_line(key))
        imports = "import sys; from pathlib import Path; from lab_tool.signature import sign"
        script = f"{imports}; sign(b'x', Path(sys.argv[1]), 'lab-test')"
        # In a session of its own there is no terminal.
        done = subprocess.run(
            ["setsid", "-w", sys.executable, "-c", script, str(key)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert "the passphrase is wrong, or there was no terminal to ask for it" in done.stderr

    def test_no_ssh_keygen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        key = key_of("a")
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(LabError, match="ssh-keygen is not installed") as error:
            sign(MESSAGE, key, "lab-test")
        assert error.value.next_command == "apt install openssh-client"
