"""A stand-in for the image server: API over TLS, files over HTTP, in threads of the test, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab_tool.imaging.format.datagrams import Join

_PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class ImageServer:
    """`order` and `signature` go to whoever claims. Faults: `away` answers nobody; with `cut_after` it goes away in the
    middle of a file after so many bytes; `spoil` changes what is sent; `waits` are so many answers "wait" before a PC
    may fetch, `joins` streams that it hears of first; `rate` is bytes a second; `on_request` gets each path.
    """

    folder: Path
    order: str = ""
    signature: str = ""
    api: str = ""
    http: str = ""
    pin: str = ""
    away: bool = False
    cut_after: int = -1
    waits: int = 0
    stop: bool = False
    full: bool = False
    joins: list[Join] = field(default_factory=list)
    rate: float = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    captured: dict[str, bytes] = field(default_factory=dict)
    sent: int = 0
    arrived: int = 0
    requests: int = 0
    spoil: Callable[[str, bytes], bytes] = lambda path, content: content
    on_request: Callable[[str], None] = lambda path: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self) -> str:
        """A new token, good once."""
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return token

    @property
    def states(self) -> list[str]:
        """What was reported, each state once in a row."""
        said = [report["state"] for report in self.reports]
        return [state for at, state in enumerate(said) if at == 0 or said[at - 1] != state]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """What the API says."""
        if method == "PUT":
            _, _, _, session, name = path.split("/")
            if session not in self.sessions or self.full:
                return (507 if self.full else 403), {"error": "no room" if self.full else "no such session"}
            self.captured[name] = body
            return 200, {"ok": True}
        said = json.loads(body)
        if path == "/api/claim":
            return self._claim(said)
        if said.get("session") not in self.sessions:
            return 403, {"error": "no such session"}
        if path == "/api/report":
            self.reports.append(said)
            return 200, {"ok": True, "stop": self.stop}
        if path == "/api/next":
            if self.joins:
                return 200, {"do": "join", **self.joins.pop().answer()}
            self.waits -= 1
            return 200, {"do": "wait", "position": 1, "seconds": 0.01} if self.waits >= 0 else {"do": "fetch"}
        return 404, {"error": "no such thing"}

    def _claim(self, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if said["token"] not in self.tokens:
            return 403, {"error": "this token was used, or never given"}
        self.tokens.remove(said["token"])
        session = secrets.token_hex(16)
        self.sessions.add(session)
        return 200, {"order": self.order, "signature": self.signature, "session": session}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "test"
    there: ImageServer

    def _api(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.there.on_request(self.path)
        if self.there.away:
            self.close_connection = True
            return
        status, said = self.there.answer(self.command, self.path, body)
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self) -> None:
        there = self.there
        there.on_request(self.path)
        path = there.folder / self.path.lstrip("/")
        if there.away:
            self.close_connection = True
            return
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        with path.open("rb") as file:
            size = file.seek(0, 2)
            first, last = (int(asked[1]), int(asked[2])) if asked else (0, size - 1)
            file.seek(first)
            content = there.spoil(self.path, file.read(last - first + 1))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with there.lock:
            there.requests += 1
            if 0 <= there.cut_after < there.sent + len(content):
                content = content[: max(0, there.cut_after - there.sent)]
                there.cut_after, there.away, self.close_connection = -1, True, True
            there.sent += len(content)
        try:
            for at in range(0, len(content), _PIECE if there.rate else len(content) or 1):
                piece = content[at : at + (_PIECE if there.rate else len(content))]
                if there.rate:
                    time.sleep(len(piece) / there.rate)
                self.wfile.write(piece)
                with there.lock:
                    there.arrived += len(piece)
        except OSError:
            # The PC was switched off.
            self.close_connection = True

    do_GET = _file  # noqa: N815
    do_POST = _api  # noqa: N815
    do_PUT = _api  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _serve(there: ImageServer, context: ssl.SSLContext | None, address: str) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"there": there})
    server = ThreadingHTTPServer((address, 0), handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _certificate(work: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "image-server")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    first = datetime(2040, 1, 1, tzinfo=UTC)
    signed = made.not_valid_before(first).not_valid_after(first + timedelta(days=9)).sign(key, hashes.SHA256())
    path = work / "tls.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + signed.public_bytes(Encoding.PEM))
    return path


def _public(path: Path) -> str:
    text = path.read_text("ascii")
    return text[text.index("-----BEGIN CERTIFICATE") :]


@contextmanager
def serving(folder: Path, work: Path, address: str = "127.0.0.1") -> Iterator[ImageServer]:
    """The server with those files, until the block ends. Its certificate is valid from 2040 on, so that for every PC
    today the clock is as wrong as at 1970 for one of this year.
    """
    certificate = _certificate(work)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    there = ImageServer(folder)
    there.pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(_public(certificate))).hexdigest()
    api, files = _serve(there, context, address), _serve(there, None, address)
    there.api = f"https://{address}:{api.server_address[1]}"
    there.http = f"http://{address}:{files.server_address[1]}"
    try:
        yield there
    finally:
        for server in (api, files):
            server.shutdown()
            server.server_close()
