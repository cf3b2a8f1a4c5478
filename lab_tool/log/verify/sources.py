"""Gathering what to verify against: checkpoints beside the log, in second places, and brought along."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool.errors import LabError, UsageError
from lab_tool.log.keys import read_keys, trusted_keys
from lab_tool.log.places import PlaceError, place_name, read_back
from lab_tool.log.verify.report import Question, Shown
from lab_tool.log.verify.signed import LONGEST, origin_of
from lab_tool.school.model import LogPolicy, SecondPlace
from lab_tool.settings import Settings

BEGIN = b"-----BEGIN SSH SIGNATURE-----"
# Bytes of a mail that holds a checkpoint.
LONGEST_MAIL = 1024 * 1024
BROUGHT = "--checkpoint"
MAX_AGE_DAYS = 8


@dataclass(frozen=True, slots=True)
class Sources:
    """What was asked for on the command line; empty and None mean: as site.yml says."""

    settings: Settings
    checkpoints: tuple[Path, ...] = ()
    keys: Path | None = None
    log: Path | None = None
    origin: str = ""
    max_age: int | None = None


def gather(sources: Sources, now: datetime) -> Question:
    """The question to put to the verifier. Raises `UsageError` for a file that can't be read."""
    brought = tuple(shown for path in sources.checkpoints for shown in _brought(path))
    entries = _entries(sources)
    beside = tuple(Shown("", name, text) for name, text in _files(entries.parent / "checkpoints"))
    if sources.log and sources.keys:
        # An auditor's machine: there is no school here.
        keys, pinned, policy = read_keys(sources.keys), True, None
        origin = sources.origin or _common_origin((*brought, *beside))
    else:
        from lab_tool.school.load import load_log_policy

        policy = load_log_policy(sources.settings.inventory)
        trusted = trusted_keys(sources.settings, policy)
        keys, pinned = (read_keys(sources.keys), True) if sources.keys else (trusted.keys, trusted.pinned)
        origin = sources.origin or policy.origin
    places = policy.second_places if policy and not sources.log else ()
    there, asked, silent = _from_places(places, origin, sources.settings.inventory)
    return Question(
        entries=entries,
        origin=origin,
        keys=keys,
        pinned=pinned,
        shown=(*beside, *there, *brought),
        now=now,
        configured=bool(places) or sources.log is not None,
        asked=asked,
        silent=silent,
        max_age_days=_max_age(sources, policy),
    )


def _entries(sources: Sources) -> Path:
    if sources.log is None:
        return sources.settings.log / "entries.jsonl"
    if sources.log.is_dir():
        return sources.log / "entries.jsonl"
    if not sources.log.exists():
        raise UsageError("no such file", where=str(sources.log))
    return sources.log


def _max_age(sources: Sources, policy: LogPolicy | None) -> int | None:
    if sources.max_age is not None:
        return sources.max_age or None
    return policy.max_checkpoint_age_days if policy else MAX_AGE_DAYS


def _brought(path: Path) -> list[Shown]:
    """A checkpoint file, all of a folder, or the one that a mail carries."""
    if path.is_dir():
        return [Shown(BROUGHT, f"{path}/{name}", text) for name, text in _files(path)]
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_MAIL)
    except OSError as error:
        raise UsageError(f"can't be read: {error.strerror}", where=str(path)) from error
    return [Shown(BROUGHT, str(path), _unpacked(data))]


def _unpacked(data: bytes) -> bytes:
    """The attachment, where `data` is a mail and not a checkpoint."""
    if BEGIN in data and b"\nMIME-Version:" not in data:
        return data
    for part in email.message_from_bytes(data, policy=email.policy.default).walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and BEGIN in payload:
            return payload
    return data


def _files(folder: Path) -> list[tuple[str, bytes]]:
    """What lies there; a pipe or a folder under the name of a checkpoint is an empty one, and refused as such."""
    found = []
    for path in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
        if not path.is_file():
            found.append((path.name, b""))
            continue
        with path.open("rb") as file:
            found.append((path.name, file.read(LONGEST + 1)))
    return found


def _from_places(
    places: Iterable[SecondPlace], origin: str, base: Path
) -> tuple[tuple[Shown, ...], tuple[str, ...], tuple[tuple[str, str], ...]]:
    """What the places show, which of them answered, and which didn't and why."""
    shown: list[Shown] = []
    asked: list[str] = []
    silent: list[tuple[str, str]] = []
    for place in places:
        name = place_name(place)
        try:
            there = read_back(place, origin, base)
        except PlaceError as error:
            silent.append((name, str(error)))
            continue
        if there is not None:
            asked.append(name)
            shown += [Shown(name, file, text) for file, text in there]
    return tuple(shown), tuple(asked), tuple(silent)


def _common_origin(shown: tuple[Shown, ...]) -> str:
    """The one name all checkpoints give. Raises `LabError` when there is none, or more than one."""
    origins = {origin for each in shown if (origin := origin_of(each.text))}
    if len(origins) > 1:
        raise LabError(f"checkpoints of several logs: {', '.join(sorted(origins))}; say which with --origin")
    return origins.pop() if origins else ""
