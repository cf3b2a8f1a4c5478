"""The passwords that are kept: a folder a PC, in it an encrypted file a generation, and what is known of it beside it.

`<generation>.age` can be decrypted with `age` alone. `<generation>.json` is written after it and before the PC is
touched, so a generation without one never reached a PC.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab_tool.canonical import Json, dump
from lab_tool.clock import parse_utc, utc_text
from lab_tool.errors import LabError
from lab_tool.log.store import sync_folder
from lab_tool.settings import Settings


@dataclass(frozen=True, slots=True)
class Generation:
    """One password of one account. `readers`: by person, the key lines it is encrypted to; `fingerprint`: SHA-256 of
    what `/etc/shadow` holds once it is set, `ciphertext` that of the encrypted file.
    """

    id: str
    account: str
    made: datetime
    readers: Mapping[str, tuple[str, ...]]
    fingerprint: str
    ciphertext: str

    def as_json(self) -> dict[str, Json]:
        """As in its file."""
        return {
            "v": 1,
            "id": self.id,
            "account": self.account,
            "made": utc_text(self.made),
            "readers": {person: list(lines) for person, lines in self.readers.items()},
            "fingerprint": self.fingerprint,
            "ciphertext": self.ciphertext,
        }


def folder_of(settings: Settings, host: str) -> Path:
    """Where the passwords of a PC lie."""
    return settings.state / "passwords" / host


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def generations(folder: Path) -> list[Generation]:
    """All that may be on the PC, oldest first: one, or more where a run was cut off before it had read back."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def ciphertext(folder: Path, generation: Generation) -> bytes:
    """The encrypted password. Raises `LabError` when it is not the one that was written."""
    path = folder / f"{generation.id}.age"
    if not is_whole(folder, generation):
        raise LabError("this is not the file that was written; bring it back from a backup", where=str(path))
    return path.read_bytes()


def is_whole(folder: Path, generation: Generation) -> bool:
    """Whether its holders can still decrypt it: a file that is gone or damaged is a password that nobody has."""
    path = folder / f"{generation.id}.age"
    return path.is_file() and digest(path.read_bytes()) == generation.ciphertext


def add(folder: Path, generation: Generation, data: bytes) -> None:
    """Keep one more, on the disk before this returns; those that are there stay."""
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent)
    _write(folder / f"{generation.id}.age", data)
    _write(folder / f"{generation.id}.json", dump(generation.as_json()))
    sync_folder(folder)


def keep_only(folder: Path, generation: Generation) -> None:
    """Forget every other one: this is what the PC has, read back from it."""
    others = [path for path in folder.iterdir() if path.stem != generation.id]
    # What makes a generation count goes first.
    for path in sorted(others, key=lambda path: path.suffix != ".json"):
        path.unlink(missing_ok=True)
    if others:
        sync_folder(folder)


def _write(path: Path, data: bytes) -> None:
    """The whole file or none, and on the disk."""
    unfinished = path.with_suffix(f"{path.suffix}.new")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _read(path: Path) -> Generation:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        readers: dict[str, Sequence[str]] = fields["readers"]
        return Generation(
            id=fields["id"],
            account=fields["account"],
            made=parse_utc(fields["made"]),
            readers={person: tuple(lines) for person, lines in readers.items()},
            fingerprint=fields["fingerprint"],
            ciphertext=fields["ciphertext"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"not what this tool writes: {error!r}", where=str(path)) from error
