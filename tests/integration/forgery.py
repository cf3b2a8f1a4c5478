"""What somebody does who has a PC's backup password: everything that restic's format allows, without restic."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

# Poly1305 takes these bits of its key alone.
MASK = bytes.fromhex("ffffff0ffcffff0ffcffff0ffcffff0f")
PRIME = (1 << 130) - 5


class Forger:
    """The repository's master key, taken out of its key file with the password."""

    def __init__(self, key_file: str, password: str) -> None:
        key = json.loads(key_file)
        derived = Scrypt(base64.b64decode(key["salt"]), 64, key["N"], key["r"], key["p"]).derive(password.encode())
        data = base64.b64decode(key["data"])
        master = json.loads(_stream(derived[:32], data[:16], data[16:-16]))
        self.encrypt = base64.b64decode(master["encrypt"])
        self.mac = [base64.b64decode(master["mac"][part]) for part in "kr"]

    def claim(self, blobs: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Files to add: a pack of rubbish for all these (type, id), the index that says so, and a snapshot in use."""
        rubbish = b"rubbish"
        tree = json.dumps({"nodes": [_node(_hash(rubbish))]}, separators=(",", ":")).encode() + b"\n"
        data, in_data = self._pack([("data", _hash(rubbish), rubbish), *((kind, name, b"no") for kind, name in blobs)])
        trees, in_trees = self._pack([("tree", _hash(tree), tree)])
        packs = [{"id": _hash(data), "blobs": in_data}, {"id": _hash(trees), "blobs": in_trees}]
        index = self._seal(json.dumps({"packs": packs}).encode())
        about = {"time": "2026-11-24T10:00:00Z", "tree": _hash(tree), "paths": ["/x"], "hostname": "x"}
        snapshot = self._seal(json.dumps(about).encode())
        return {
            f"data/{_hash(data)}": data,
            f"data/{_hash(trees)}": trees,
            f"index/{_hash(index)}": index,
            f"snapshots/{_hash(snapshot)}": snapshot,
        }

    def _pack(self, blobs: Sequence[tuple[str, str, bytes]]) -> tuple[bytes, list[dict[str, Any]]]:
        body, header, index = b"", b"", []
        for kind, name, plain in blobs:
            sealed = self._seal(plain)
            index.append({"id": name, "type": kind, "offset": len(body), "length": len(sealed)})
            header += struct.pack("<BI", int(kind == "tree"), len(sealed)) + bytes.fromhex(name)
            body += sealed
        sealed = self._seal(header)
        return body + sealed + struct.pack("<I", len(sealed)), index

    def _seal(self, plain: bytes) -> bytes:
        nonce = os.urandom(16)
        text = _stream(self.encrypt, nonce, plain)
        key, part = self.mac
        factor = int.from_bytes(bytes(a & b for a, b in zip(part, MASK, strict=True)), "little")
        total = 0
        for at in range(0, len(text), 16):
            total = (total + int.from_bytes(text[at : at + 16] + b"\1", "little")) * factor % PRIME
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(nonce)
        return nonce + text + ((total + int.from_bytes(block, "little")) % (1 << 128)).to_bytes(16, "little")


def _stream(key: bytes, nonce: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor().update(data)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _node(content: str) -> dict[str, Any]:
    moment = "2026-11-24T00:00:00Z"
    times = {"mtime": moment, "atime": moment, "ctime": moment}
    return {"name": "x", "type": "file", "mode": 420, **times, "uid": 0, "gid": 0, "size": 7, "content": [content]}
