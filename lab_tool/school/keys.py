"""Public key lines: whether OpenSSH would read one, and whether two of them are one key."""

from __future__ import annotations

import binascii
from base64 import b64decode

# The fields after the type, as OpenSSH writes them (RFC 4253, RFC 5656, RFC 8709, PROTOCOL.u2f).
ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
FIELDS = {
    ED25519: 1,
    "sk-ssh-ed25519@openssh.com": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
    RSA: 2,
}
ED25519_BYTES = 32
SHORTEST_RSA_BITS = 2048


class KeyLineError(ValueError):
    """Why a line is no public key that may stand in an inventory."""


def key_identity(line: str) -> bytes:
    """The key itself, without its comment: equal for two lines that hold one key. Raises `KeyLineError`."""
    kind, _, rest = line.partition(" ")
    if kind not in FIELDS:
        raise KeyLineError(f"key type {kind[:40]!r} is none of {', '.join(FIELDS)}")
    try:
        blob = b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyLineError("the key is not whole (base64)") from error
    first, *fields = _fields(blob)
    if first != kind.encode() or len(fields) != FIELDS[kind] or not all(fields):
        raise KeyLineError("the key is not whole")
    if kind in (ED25519, "sk-ssh-ed25519@openssh.com") and len(fields[0]) != ED25519_BYTES:
        raise KeyLineError("the key is not whole")
    if kind == RSA:
        _check_rsa(fields)
    return blob


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed fields that make up the whole of `blob`."""
    fields = []
    at = 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if end > len(blob):
            raise KeyLineError("the key is not whole")
        fields.append(blob[at + 4 : end])
        at = end
    if not fields:
        raise KeyLineError("the key is empty")
    return fields


def _check_rsa(fields: list[bytes]) -> None:
    # OpenSSH skips zeros in front, so that one key could be written in many ways and pass for two persons' keys.
    if any(field[0] & 0x80 or (field[0] == 0 and not (len(field) > 1 and field[1] & 0x80)) for field in fields):
        raise KeyLineError("the key is not in its shortest form")
    bits = int.from_bytes(fields[1], "big").bit_length()
    if bits < SHORTEST_RSA_BITS:
        raise KeyLineError(f"an RSA key of {bits} bits; {SHORTEST_RSA_BITS} are the least")
