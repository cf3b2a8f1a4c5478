"""Checkpoints as text: what C2SP calls tlog-checkpoint, under an SSH signature.

school.example/lab-log
1204
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
time 2026-11-24T10:20:30.123456Z

-----BEGIN SSH SIGNATURE-----
...
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

NAMESPACE = "lab-checkpoint"
TIME = re.compile(r"time (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)")
SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
# Bytes. A checkpoint has some 600.
LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed size and root. `signed` is the text under the signature, `time` UTC text, empty where none is given."""

    origin: str
    size: int
    root: bytes
    time: str
    signed: bytes
    signature: str

    def encode(self) -> bytes:
        """The whole text, as it is kept and sent."""
        return self.signed + b"\n" + self.signature.encode("ascii")

    @property
    def file_name(self) -> str:
        """`000000001204-20261124T102030Z.txt`: sorts by size, then by time."""
        seconds = re.sub(r"[-:]|\..*", "", self.time)
        return f"{self.size:012d}-{seconds}Z.txt"


def signed_text(origin: str, size: int, root: bytes, time: str) -> bytes:
    """The text to sign."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\ntime {time}\n".encode()


def parse(data: bytes) -> Checkpoint:
    """The checkpoint in `data`; its signature is not checked. Raises `ValueError`."""
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes are too many for a checkpoint")
    # What went through a mail program.
    text = data.replace(b"\r\n", b"\n").decode("utf-8")
    body, separator, signature = text.partition("\n\n")
    lines = body.split("\n")
    if not separator or len(lines) < 3 or not all(lines):
        raise ValueError("not a checkpoint: origin, size, root, a blank line and a signature are expected")
    origin, size, root, *extensions = lines
    if not SIZE.fullmatch(size):
        raise ValueError(f"not a size: {size!r}")
    digest = base64.b64decode(root, validate=True)
    if len(digest) != 32:
        raise ValueError(f"not a root: {root!r}")
    armor = signature.strip("\n").split("\n")
    if armor[0] != BEGIN or armor[-1] != END:
        raise ValueError("no SSH signature below the checkpoint")
    times = [match[1] for match in map(TIME.fullmatch, extensions) if match]
    time = times[0] if len(times) == 1 else ""
    return Checkpoint(origin, int(size), digest, time, f"{body}\n".encode(), "\n".join(armor) + "\n")


def newest(texts: Iterable[bytes], origin: str) -> Checkpoint | None:
    """The largest checkpoint of that origin; what is none is left out."""
    found = []
    for text in texts:
        try:
            found.append(parse(text))
        except ValueError:
            continue
    mine = [checkpoint for checkpoint in found if checkpoint.origin == origin]
    return max(mine, key=lambda checkpoint: (checkpoint.size, checkpoint.time), default=None)


def folder_name(origin: str) -> str:
    """A name for the folder of one log where several logs' checkpoints are kept."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", origin).lstrip(".") or "_"
