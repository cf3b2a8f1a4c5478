"""Public key lines: what OpenSSH makes is accepted, what it would not read is not, and one key is one key."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from lab_tool.school.keys import FIELDS, KeyLineError, key_identity
from tests.unit.school.small import KEY_1, KEY_2

KINDS = [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048"), ("rsa", "3072")]


def make(folder: Path, kind: str, bits: str) -> str:
    """A new public key line; the private half is thrown away."""
    path = folder / "key"
    size = ["-b", bits] if bits else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "somebody", "-f", path], check=True)
    path.unlink()
    return path.with_suffix(".pub").read_text(encoding="utf-8").strip()


def openssh_reads(folder: Path, line: str) -> bool:
    """Whether `ssh-keygen -l` finds a key in the line."""
    path = folder / "line.pub"
    path.write_text(f"{line}\n", encoding="utf-8")
    return subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, check=False).returncode == 0


def pack(*fields: bytes) -> str:
    """The fields with their lengths, in base64."""
    return base64.b64encode(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).decode()


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_what_openssh_makes_is_accepted(tmp_path: Path, kind: str, bits: str) -> None:
    line = make(tmp_path, kind, bits)
    assert key_identity(line) == key_identity(line.rpartition(" ")[0] + " other@place")


def test_hardware_keys_are_accepted() -> None:
    """Their form is in OpenSSH's PROTOCOL.u2f; a real one needs the hardware."""
    point = b"\x04" + bytes(64)
    assert key_identity(f"sk-ssh-ed25519@openssh.com {pack(b'sk-ssh-ed25519@openssh.com', bytes(32), b'ssh:')} x")
    kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
    assert key_identity(f"{kind.decode()} {pack(kind, b'nistp256', point, b'ssh:')} x")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"ssh-rsa {KEY_1.split()[1]}",
        f"ssh-ed25519 {pack(b'ssh-ed25519', bytes(31))}",
        f"ssh-ed25519 {pack(b'ssh-ed25519', bytes(32), b'')}",
        f"ssh-ed25519 {pack(b'ssh-ed25519', bytes(32), b'more')}",
        f"ssh-ed25519 {pack(b'ssh-rsa', bytes(32))}",
        KEY_1[:-4],
        KEY_1.replace("AAAAC3", "AAAAC4"),
        KEY_1[:-1] + "!",
        "ssh-dss AAAAB3NzaC1kc3MAAACBAOeB",
        f"ssh-ed25519-cert-v01@openssh.com {pack(b'ssh-ed25519-cert-v01@openssh.com', bytes(32))}",
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(KeyLineError):
        key_identity(line)


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyLineError, match="1024 bits"):
        key_identity(make(tmp_path, "rsa", "1024"))


def test_one_rsa_key_can_not_be_written_in_two_ways(tmp_path: Path) -> None:
    """OpenSSH reads a key with zeros in front as the same key; it must not count as a second person's."""
    line = make(tmp_path, "rsa", "2048")
    blob = base64.b64decode(line.split()[1])
    kind, exponent, modulus = blob[4:11], blob[15:18], blob[22:]
    assert f"ssh-rsa {pack(kind, exponent, modulus)}" == line.rpartition(" ")[0]
    longer = f"ssh-rsa {pack(kind, exponent, bytes(1) + modulus)}"
    if openssh_reads(tmp_path, longer):
        with pytest.raises(KeyLineError, match="shortest form"):
            key_identity(longer)


@pytest.mark.parametrize("at", range(0, len(KEY_2.split()[1]), 7))
def test_a_damaged_line_is_refused_where_openssh_refuses_it(tmp_path: Path, at: int) -> None:
    kind, key = KEY_2.split()
    line = f"{kind} {key[:at]}{key[at + 1 :]}"
    with pytest.raises(KeyLineError):
        key_identity(line)
    assert not openssh_reads(tmp_path, line)


def test_every_type_is_one_that_openssh_signs_with() -> None:
    known = subprocess.run(["ssh", "-Q", "key-sig"], capture_output=True, text=True, check=True).stdout.split()
    assert set(FIELDS) <= set(known) | {"ssh-rsa"}
