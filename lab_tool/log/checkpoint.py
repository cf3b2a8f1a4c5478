"""Publishing: sign what the log is now, keep it here, and give copies to whoever can hold us to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool import signature
from lab_tool.clock import utc_text
from lab_tool.errors import LabError, LogWriteError, UsageError, VerificationError
from lab_tool.log import tree
from lab_tool.log.entry import Subject
from lab_tool.log.keep import keep, kept
from lab_tool.log.keys import ensure_key
from lab_tool.log.note import NAMESPACE, Checkpoint, newest, signed_text
from lab_tool.log.places import Delivery, PlaceError, place_name, read_back, send, without_password
from lab_tool.log.store import LOG_ITSELF, LogStore
from lab_tool.log.text import plain
from lab_tool.school.model import LogPolicy, SecondPlace
from lab_tool.settings import Settings

FOLDER = "checkpoints"


@dataclass(frozen=True, slots=True)
class Failed:
    """A second place that did not get the checkpoint, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint of `size` entries and `root` (hexadecimal), and which second places have it."""

    size: int
    root: str
    reached: tuple[str, ...]
    failed: tuple[Failed, ...]


def publish(settings: Settings, policy: LogPolicy, clock: Callable[[], datetime]) -> Published:
    """Sign a checkpoint over the whole log, keep it, send it to every second place, and record how that went.

    The record comes after the checkpoint it tells of, so the next one covers it. A place that isn't reached is told of
    in the answer. Raises `VerificationError` when the log doesn't extend its last checkpoint (a log must never sign
    two histories), `LogWriteError` when the checkpoint can't be kept, `LabError` when the key is gone.
    """
    with _alone(settings.log):
        checkpoint = _signed(settings, policy, clock())
        reached: list[str] = []
        failed: list[Failed] = []
        for place in policy.second_places:
            try:
                _deliver(settings, place, checkpoint, clock())
                reached.append(place_name(place))
            except LabError as error:
                failed.append(Failed(place_name(place), plain(without_password(str(error)))))
    published = Published(checkpoint.size, checkpoint.root.hex(), tuple(reached), tuple(failed))
    body = {
        "size": published.size,
        "root": published.root,
        "reached": reached,
        "failed": [{"place": each.place, "reason": each.reason} for each in failed],
    }
    LogStore(settings.log, clock).append(actor=LOG_ITSELF, kind="checkpoint.published", subject=Subject(), body=body)
    return published


def local_checkpoints(directory: Path) -> list[tuple[str, bytes]]:
    """Name and text of the checkpoints kept beside the log in `directory`."""
    return kept(directory / FOLDER)


def _signed(settings: Settings, policy: LogPolicy, now: datetime) -> Checkpoint:
    """A new checkpoint, kept in `checkpoints/`."""
    before = newest((text for _, text in local_checkpoints(settings.log)), policy.origin)
    size, root, root_before = tree.ask(settings.log, lambda grown: (grown.size, grown.root, _root_at(grown, before)))
    if size == 0:
        raise UsageError("the log has no entry yet", where=str(settings.log), next_command="lab log init")
    if before and before.root != root_before:
        raise VerificationError(
            f"the log does not extend its last checkpoint, of {before.size} entries; no other one is signed",
            where=str(settings.log),
            next_command="lab log verify",
        )
    time = utc_text(now)
    text = signed_text(policy.origin, size, root, time)
    armored = signature.sign(text, _trusted_key(settings, policy, now), NAMESPACE)
    checkpoint = Checkpoint(policy.origin, size, root, time, text, armored)
    folder = settings.log / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        keep(folder, checkpoint.file_name, checkpoint.encode())
    except OSError as error:
        raise LogWriteError(f"the checkpoint can't be kept: {error}", where=str(folder)) from error
    return checkpoint


def _trusted_key(settings: Settings, policy: LogPolicy, now: datetime) -> Path:
    """The signing key; where site.yml names keys it must be one of them, or nobody could check the checkpoint."""
    key = ensure_key(settings, policy.origin)
    line = signature.public_line(key)
    named = [each for each in policy.keys if each.line.split()[:2] == line.split()]
    if policy.keys and not any(signature.valid_on(each, now.date()) for each in named):
        raise LabError(
            f"log.keys in site.yml does not name the key that signs checkpoints today: {line}",
            where=str(settings.inventory / "site.yml"),
            next_command="lab log keys",
        )
    return key


def _deliver(settings: Settings, place: SecondPlace, checkpoint: Checkpoint, now: datetime) -> None:
    """Send, unless the place holds something that contradicts it."""
    held = read_back(place, checkpoint.origin, settings.inventory)
    there = newest((text for _, text in held or ()), checkpoint.origin)
    if there and tree.ask(settings.log, lambda grown: _root_at(grown, there)) != there.root:
        raise PlaceError(
            f"holds a checkpoint of {there.size} entries that contradicts this log", next_command="lab log verify"
        )

    def consistency(old: int) -> list[bytes]:
        return tree.ask(settings.log, lambda grown: grown.consistency_proof(old, checkpoint.size))

    send(place, Delivery(checkpoint, there, consistency, now, settings.inventory))


def _root_at(grown: tree.Tree, checkpoint: Checkpoint | None) -> bytes:
    """The log's root where the checkpoint was made; nothing when the log is shorter."""
    return grown.root_at(checkpoint.size) if checkpoint and checkpoint.size <= grown.size else b""


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One publisher at a time, so that checkpoints reach every place in the order they were made."""
    if not directory.is_dir():
        raise UsageError("the log has no entry yet", where=str(directory), next_command="lab log init")
    try:
        lock = os.open(directory / "publish.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LogWriteError(f"the checkpoint can't be kept: {error}", where=str(directory)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
