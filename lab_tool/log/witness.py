"""The receiving side of a witness: accepts a checkpoint only if it extends the last one it accepted.

A request is `get ORIGIN`, or what C2SP's tlog-witness calls add-checkpoint: `old SIZE`, the lines of the consistency
proof in Base64, a blank line, the checkpoint.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool import signature
from lab_tool.clock import parse_utc, utc_text
from lab_tool.errors import RefusedError, UsageError
from lab_tool.log import merkle
from lab_tool.log.keep import keep, kept
from lab_tool.log.keys import SIGNER
from lab_tool.log.note import NAMESPACE, Checkpoint, folder_name, newest, parse
from lab_tool.school.model import Key

MOST_HASHES = 63
# Bytes.
LONGEST_REQUEST = 128 * 1024


@dataclass(frozen=True, slots=True)
class Witness:
    """Keeps checkpoints in `store`, one folder a log, and trusts `keys`; `now` is the witness's own clock."""

    store: Path
    keys: tuple[Key, ...]
    now: datetime

    def answer(self, request: bytes) -> bytes:
        """What to say to a request: the newest checkpoint, or `accepted SIZE`. Raises `RefusedError`, `UsageError`."""
        if len(request) > LONGEST_REQUEST:
            raise UsageError("the request is too long")
        verb, _, rest = request.partition(b" ")
        if verb == b"get" and rest.strip():
            held = self._held(rest.strip().decode(errors="replace"))
            return held.encode() if held else b""
        if verb == b"old":
            return self._add(rest)
        raise UsageError("a request begins with `get ORIGIN` or `old SIZE`")

    def _add(self, rest: bytes) -> bytes:
        head, _, text = rest.partition(b"\n\n")
        try:
            size, *lines = head.decode("ascii").split("\n")
            old = int(size)
            proof = [base64.b64decode(line, validate=True) for line in lines]
            checkpoint = parse(text)
        except ValueError as error:
            raise UsageError(f"the request can't be read: {error}") from error
        if len(proof) > MOST_HASHES:
            raise UsageError("the proof is too long")
        self._check_signature(checkpoint)
        with self._locked(checkpoint.origin) as folder:
            self._check_growth(folder, checkpoint, old, proof)
            keep(folder, self._file_name(checkpoint), checkpoint.encode())
        return f"accepted {checkpoint.size}\n".encode()

    def _check_signature(self, checkpoint: Checkpoint) -> None:
        at = parse_utc(checkpoint.time) if checkpoint.time else self.now
        signers = [(SIGNER, key) for key in self.keys]
        if signature.signer_of(checkpoint.signed, checkpoint.signature, NAMESPACE, signers, at) is None:
            raise RefusedError(f"the checkpoint of {checkpoint.origin} is not signed by a key trusted here")

    def _check_growth(self, folder: Path, checkpoint: Checkpoint, old: int, proof: list[bytes]) -> None:
        held = self._held(checkpoint.origin)
        size, root = (held.size, held.root) if held else (0, merkle.EMPTY_ROOT)
        if old == size and merkle.extends(size, root, checkpoint.size, checkpoint.root, proof):
            return
        if old != size and checkpoint.size >= size:
            raise RefusedError(f"the proof is for {old} entries, the last checkpoint here is of {size}")
        # Signed, and in contradiction to another signed one: evidence that anybody can check.
        refused = folder / "refused"
        refused.mkdir(mode=0o700, exist_ok=True)
        keep(refused, self._file_name(checkpoint), checkpoint.encode())
        raise RefusedError(
            f"the checkpoint of {checkpoint.size} entries does not extend the last one here, of {size}; "
            "both are kept as evidence"
        )

    def _held(self, origin: str) -> Checkpoint | None:
        return newest((text for _, text in kept(self.store / folder_name(origin))), origin)

    def _file_name(self, checkpoint: Checkpoint) -> str:
        """With the time of receipt, which is worth more than the time the sender states."""
        received = utc_text(self.now).replace("-", "").replace(":", "")
        return f"{checkpoint.size:012d}-received-{received}.txt"

    @contextmanager
    def _locked(self, origin: str) -> Iterator[Path]:
        folder = self.store / folder_name(origin)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(lock)
