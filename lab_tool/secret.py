"""Passwords: made here, hashed by `openssl`, encrypted to people's SSH keys by `age`, which alone can decrypt them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError

# Nothing that is taken for another when it is read out or typed: no i l o 0 1. Twenty of them hold 99 bits.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, PER_GROUP = 5, 4
# What `age` takes as a recipient; a key in hardware only signs.
KEY_TYPES = frozenset({"ssh-ed25519", "ssh-rsa"})


def new_password() -> str:
    """Twenty random characters in groups of four, such as `h4km-w9xe-...`."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(PER_GROUP)) for _ in range(GROUPS))


def crypt_hash(password: str) -> str:
    """The password as `/etc/shadow` holds it (SHA-512 crypt, a salt of its own). It is in no argument of a program."""
    done = _run(["openssl", "passwd", "-6", "-stdin"], f"{password}\n".encode(), "openssl")
    text = done.out.decode("ascii", "replace").strip()
    if done.code != 0 or not text.startswith("$6$"):
        raise LabError(f"openssl could not hash a password: {done.error_text}")
    return text


def can_read(line: str) -> bool:
    """Whether something can be encrypted to this public key line."""
    return line.partition(" ")[0] in KEY_TYPES


def encrypt(plain: str, lines: Sequence[str]) -> bytes:
    """`plain` for the owners of these public key lines, each of whom can decrypt it alone; armoured."""
    recipients = [part for line in lines for part in ("--recipient", line)]
    done = _run(["age", "--encrypt", "--armor", *recipients], plain.encode(), "age")
    if done.code != 0 or not done.out.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----"):
        raise LabError(f"age could not encrypt: {done.error_text}")
    return done.out


def decrypt(ciphertext: bytes, private_key: Path) -> str:
    """What was encrypted for that key; `age` asks for its passphrase on the terminal. Raises `LabError`."""
    done = _run(["age", "--decrypt", "--identity", str(private_key)], ciphertext, "age")
    if done.code != 0:
        said = done.err.decode("utf-8", "replace")
        lines = [line for line in said.splitlines() if "https://" not in line]
        why = lines[0].removeprefix("age: error: ") if lines else f"exit code {done.code}"
        raise LabError(f"age could not decrypt with this key: {why}", where=str(private_key))
    return done.out.decode()


def _run(argv: Sequence[str], data: bytes, package: str) -> process.Completed:
    try:
        return process.run(argv, input=data)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed on this machine", next_command=f"apt install {package}") from None
