"""One-time tokens: what shows that the PC that claims an order is the one that was just sent the boot script.

A token is its nonce, its last second and a keyed hash over both, the MAC and the order. So handing out any number of
them costs no disk, and none is lost when the server is killed. Which ones were used stands in the order's record.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Callable

SECONDS = 15 * 60
_FORM = re.compile(r"[0-9a-f]{64}")
_HEAD = struct.Struct(">8sL")
_HASH_BYTES = 20


class TokenError(Exception):
    """A token that counts for nothing; the text says why."""


class Tokens:
    """Makes tokens and knows its own; `now` is seconds since 1970."""

    def __init__(self, secret: bytes, now: Callable[[], float]) -> None:
        self._secret = secret
        self._now = now

    def issue(self, mac: str, order: str) -> str:
        """A new token for that PC and order."""
        head = _HEAD.pack(secrets.token_bytes(8), int(self._now()) + SECONDS)
        return (head + self._hash(head, mac, order)).hex()

    def check(self, token: str, mac: str, order: str) -> int:
        """The token's last second. Raises `TokenError` for one that is not of here, or not for this PC and order."""
        if not _FORM.fullmatch(token):
            raise TokenError("this is no token")
        data = bytes.fromhex(token)
        head, found = data[: _HEAD.size], data[_HEAD.size :]
        if not hmac.compare_digest(found, self._hash(head, mac, order)):
            raise TokenError("the token is not for this PC and its order")
        last: int = _HEAD.unpack(head)[1]
        if self._now() > last:
            raise TokenError("the token is too old")
        return last

    def _hash(self, head: bytes, mac: str, order: str) -> bytes:
        message = b"\0".join((head, mac.encode(), order.encode()))
        return hmac.new(self._secret, message, hashlib.sha256).digest()[:_HASH_BYTES]
