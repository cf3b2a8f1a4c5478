"""The keys that sign checkpoints: made, replaced, and the ones to trust."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError, UsageError
from lab_tool.school.model import Key, LogPolicy
from lab_tool.settings import Settings

KEY_TYPES = r"(?:ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+)"
KEY_LINE = re.compile(rf"{KEY_TYPES} [A-Za-z0-9+/]+=*(?: .*)?")
SIGNER_LINE = re.compile(rf'\S+ (?:((?:[a-z-]+(?:="[^"]*")?,?)+) )?({KEY_TYPES} [A-Za-z0-9+/]+=*(?: .*)?)')
OPTION = re.compile(r'(valid-after|valid-before)="(\d{8})(\d{6})?Z?"')
# The name that signs, where OpenSSH asks for one.
SIGNER = "lab-log"


@dataclass(frozen=True, slots=True)
class Trusted:
    """Public keys whose checkpoints count. `pinned` is false when nobody but this machine says so."""

    keys: tuple[Key, ...]
    pinned: bool


def private_key(settings: Settings) -> Path:
    """The key that signs checkpoints."""
    return settings.keys / "log"


def ensure_key(settings: Settings, origin: str) -> Path:
    """The signing key, made if there is none. Raises `LabError` when it was there once."""
    key = private_key(settings)
    if key.exists():
        return key
    if key.with_suffix(".pub").exists():
        raise LabError(
            "the key that signs checkpoints is gone, only its public half is left",
            where=str(key),
            next_command='lab log key-lost --why "..."',
        )
    return make_key(key, origin)


def make_key(key: Path, origin: str) -> Path:
    """A new Ed25519 key without a passphrase, readable by its owner only."""
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", origin, "-f", str(key)])
    if made.code:
        raise LabError(f"no key could be made: {made.error_text}", where=str(key))
    return key


def trusted_keys(settings: Settings, policy: LogPolicy) -> Trusted:
    """The keys of `log.keys` in site.yml; where it names none, the public halves that lie on this machine."""
    if policy.keys:
        return Trusted(policy.keys, True)
    lines = [path.read_text(encoding="utf-8").strip() for path in sorted(settings.keys.glob("log*.pub"))]
    return Trusted(tuple(Key(line, None, None) for line in lines), False)


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file: public keys, or OpenSSH's allowed signers with their days. Raises `UsageError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't be read: {error}", where=str(path)) from error
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        key = _key(line.strip())
        if key is None:
            raise UsageError("not a public key or an allowed signer", where=f"{path}:{number}")
        keys.append(key)
    if not keys:
        raise UsageError("holds no key", where=str(path))
    return tuple(keys)


def allowed_signers(keys: tuple[Key, ...], namespace: str) -> str:
    """The keys as OpenSSH's allowed signers, for an auditor and for `ssh-keygen -Y verify` in UTC."""
    lines = []
    for key in keys:
        options = [f'namespaces="{namespace}"']
        if key.first_day:
            options.append(f'valid-after="{key.first_day:%Y%m%d}000000"')
        if key.last_day:
            options.append(f'valid-before="{key.last_day:%Y%m%d}235959"')
        lines.append(f"{SIGNER} {','.join(options)} {key.line}\n")
    return "".join(lines)


def _key(line: str) -> Key | None:
    if KEY_LINE.fullmatch(line):
        return Key(line, None, None)
    match = SIGNER_LINE.fullmatch(line)
    if match is None:
        return None
    days = {name: (date.fromisoformat(day), time) for name, day, time in OPTION.findall(match[1] or "")}
    first, _ = days.get("valid-after", (None, ""))
    last, time = days.get("valid-before", (None, ""))
    if last and time in ("", "000000"):
        last -= timedelta(days=1)
    return Key(match[2], first, last)
