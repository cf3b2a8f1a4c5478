"""Talking to clamd. Files are handed over as open descriptors: no name can mislead it, no swapped link either."""

from __future__ import annotations

import array
import socket
import time
from dataclasses import dataclass

SOCKET = "/run/clamav/clamd.ctl"
# clamd itself gives up on a file after 120 s (MaxScanTime).
PATIENCE = 180.0
LIMITS = "Heuristics.Limits.Exceeded"


class EngineError(Exception):
    """clamd can't be talked to."""


@dataclass(frozen=True)
class Answer:
    """What clamd says of a file: a `signature`, or an `error`, or neither."""

    signature: str = ""
    error: str = ""

    @property
    def is_partial(self) -> bool:
        """Nothing found, but not all of it looked at: too large, too deep, too slow."""
        return self.signature.startswith(LIMITS)


class Clamd:
    """A session with clamd, opened again where it was cut."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""

    def ping(self) -> bool:
        """Whether it answers now, that is, has loaded its signatures."""
        try:
            return self._ask(b"zPING\0", 2.0) == b"PONG"
        except OSError:
            return False

    def version(self) -> str:
        """Its own version, such as 1.4.6."""
        try:
            said = self._ask(b"zVERSION\0", PATIENCE).decode("ascii", "replace")
        except OSError as error:
            raise EngineError(f"clamd does not answer: {error.strerror or error}") from error
        return said.split("/")[0].replace("ClamAV", "").strip()

    def scan(self, descriptor: int) -> Answer:
        """What it says of an open file. Raises `EngineError` where it could not be asked, not even a second time."""
        for attempt in (1, 2):
            try:
                return read(self._scan(descriptor))
            except OSError as error:
                self.close()
                trouble = error
                if attempt == 1:
                    # It may be loading new signatures.
                    time.sleep(1.0)
        raise EngineError(f"clamd does not answer: {trouble.strerror or trouble}")

    def close(self) -> None:
        """End the session."""
        if self._socket:
            self._socket.close()
            self._socket = None
        self._rest = b""

    def _scan(self, descriptor: int) -> str:
        if not self._socket:
            self._socket = self._connect(PATIENCE)
            self._socket.sendall(b"zIDSESSION\0")
        self._socket.sendall(b"zFILDES\0")
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]).tobytes())
        self._socket.sendmsg([b"\0"], [rights])
        return self._line(self._socket).decode("utf-8", "replace")

    def _ask(self, command: bytes, patience: float) -> bytes:
        with self._connect(patience) as connection:
            connection.sendall(command)
            self._rest = b""
            return self._line(connection)

    def _connect(self, patience: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(patience)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _line(self, connection: socket.socket) -> bytes:
        while b"\0" not in self._rest:
            data = connection.recv(4096)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        return line


def read(reply: str) -> Answer:
    """`7: fd[10]: Eicar FOUND` and its kin."""
    said = reply.rpartition("]: ")[2] if "]: " in reply else reply.partition(": ")[2]
    if said == "OK":
        return Answer()
    if said.endswith(" FOUND"):
        return Answer(signature=said[: -len(" FOUND")])
    return Answer(error=said.replace(" ERROR", "").strip() or "no answer")
