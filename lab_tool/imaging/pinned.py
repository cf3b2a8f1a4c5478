"""Talks to one image server over TLS, and to no other: its certificate itself is known beforehand.

No date is looked at, so a PC whose clock stands at 1970 can talk as well. Only the standard library: the deploy system
carries this file.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Bytes of an answer; orders and reports are a few thousand.
LONGEST_ANSWER = 4 * 1024 * 1024


class PinError(OSError):
    """Somebody else answered than the server whose certificate is known."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """`url` is `https://ADDRESS:PORT`, `pin` the SHA-256 (hexadecimal) of the server's certificate as DER."""

    url: str
    pin: str
    timeout: float = 15.0

    def call(self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON answer. Raises `OSError` when there is no answer, `PinError` when it is another's."""
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        connection = self._connect()
        try:
            connection.request(method, path, body=data, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read(LONGEST_ANSWER + 1)
        except http.client.HTTPException as error:
            raise OSError(f"{self.url} gave no proper answer") from error
        finally:
            connection.close()
        return answer.status, _object(said)

    def _connect(self) -> http.client.HTTPSConnection:
        """A connection whose other end has proved to hold the key of the pinned certificate."""
        parts = urlsplit(self.url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Who it is is told by the pin below, not by names, dates or authorities.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=self.timeout, context=context
        )
        connection.connect()
        certificate = connection.sock.getpeercert(binary_form=True) or b""
        if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), self.pin):
            connection.close()
            raise PinError(f"{self.url} is not the image server that is known: its certificate is another")
        return connection


def _object(said: bytes) -> dict[str, Any]:
    try:
        value = json.loads(said) if len(said) <= LONGEST_ANSWER else None
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}
