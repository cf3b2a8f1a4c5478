"""Beginning a log, and a new key for it: in good order, or because the old one is lost or stolen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab_tool import canonical, signature
from lab_tool.errors import UsageError
from lab_tool.log.checkpoint import Published, publish
from lab_tool.log.entry import Subject
from lab_tool.log.keys import ensure_key, make_key, private_key
from lab_tool.log.query import Query, find
from lab_tool.log.store import LogStore
from lab_tool.school.model import LogPolicy
from lab_tool.settings import Settings

# Of the old key's signature over the new key.
NAMESPACE = "lab-log-key"
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The old public key (empty when nobody knows it), the new one, and the checkpoints made on the way."""

    old: str
    new: str
    published: tuple[Published, ...]


def begin(settings: Settings, policy: LogPolicy, *, actor: str, clock: Clock) -> str:
    """Make the key and the first entry; the public key. Raises `UsageError` when there is a log."""
    if find(settings.log, Query(last=1)):
        raise UsageError("there is a log already", where=str(settings.log), next_command="lab log show --last 5")
    line = signature.public_line(ensure_key(settings, policy.origin))
    body = {"origin": policy.origin, "key": line}
    LogStore(settings.log, clock).append(actor=actor, kind="log.started", subject=Subject(), body=body)
    return line


def rotate(settings: Settings, policy: LogPolicy, *, actor: str, why: str, clock: Clock) -> Rotated:
    """A new key, for which the old one vouches; the old private key is destroyed.

    What there is so far gets a last checkpoint under the old key. Where site.yml names the keys, the new one signs
    only once it is named there.
    """
    key = ensure_key(settings, policy.origin)
    last = publish(settings, policy, clock)
    old = signature.public_line(key)
    fresh = _fresh(key, policy.origin)
    new = signature.public_line(fresh)
    handover: dict[str, canonical.Json] = {"v": 1, "origin": policy.origin, "old": old, "new": new}
    armored = signature.sign(canonical.dump(handover), key, NAMESPACE)
    body = {"handover": handover, "signature": armored, "why": why}
    LogStore(settings.log, clock).append(actor=actor, kind="log.key_rotated", subject=Subject(), body=body)
    return Rotated(old, new, (last, *_change(settings, policy, fresh, clock)))


def replace_lost(settings: Settings, policy: LogPolicy, *, actor: str, why: str, clock: Clock) -> Rotated:
    """A new key that nothing but this entry and site.yml vouches for."""
    key = private_key(settings)
    public = key.with_suffix(".pub")
    old = signature.public_line(public) if public.exists() else ""
    fresh = _fresh(key, policy.origin)
    new = signature.public_line(fresh)
    body = {"old": old, "new": new, "why": why}
    LogStore(settings.log, clock).append(actor=actor, kind="log.key_lost", subject=Subject(), body=body)
    return Rotated(old, new, _change(settings, policy, fresh, clock))


def _fresh(key: Path, origin: str) -> Path:
    """A new key beside the old one; one that an interrupted rotation left there is of no use."""
    fresh = key.with_name("log.new")
    for path in (fresh, fresh.with_name("log.new.pub")):
        path.unlink(missing_ok=True)
    return make_key(fresh, origin)


def _change(settings: Settings, policy: LogPolicy, fresh: Path, clock: Clock) -> tuple[Published, ...]:
    """Put the new key in the old one's place; the old public half stays, to check old checkpoints with."""
    key = private_key(settings)
    public = key.with_suffix(".pub")
    if public.exists():
        public.rename(public.with_name(f"log-until-{clock():%Y%m%dT%H%M%S}.pub"))
    fresh.replace(key)
    fresh.with_name("log.new.pub").replace(public)
    return () if policy.keys else (publish(settings, policy, clock),)
