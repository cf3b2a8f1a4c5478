"""SSH signatures, made and checked by `ssh-keygen -Y`; `ssh-keygen` alone can check them later."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

from lab_tool import process
from lab_tool.errors import LabError, UsageError
from lab_tool.school.model import Key

_LINE = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}")
# Days are compared as they are written, whatever zone the machine is in.
_UTC = {"TZ": "UTC"}


def sign(message: bytes, private_key: Path, namespace: str) -> str:
    """The armoured signature of `message` in `namespace`.

    `private_key` may be the `.pub` of a key that an agent holds. A passphrase, a PIN or a touch is asked for by
    `ssh-keygen` itself, on the terminal. Raises `UsageError` when there is no such key, `LabError` when it can't sign.
    """
    line = public_line(private_key)
    # Only for a hardware key, whose owner must be told to touch it: other words of ssh-keygen belong in the error.
    seen = line.startswith("sk-")
    quiet = [] if seen else ["-q"]
    done = _keygen(["-Y", "sign", *quiet, "-f", str(private_key), "-n", namespace], message, show_errors=seen)
    if done.code != 0:
        raise LabError(_why_not(done, private_key), where=str(private_key))
    return done.out.decode("ascii")


def signer_of(
    message: bytes, armored: str, namespace: str, candidates: Iterable[tuple[str, Key]], at: datetime
) -> str | None:
    """The id of the candidate whose key made this signature over exactly `message`, or None when none did.

    `candidates` are ids with their keys; a key counts only on its days, which are days in the time zone of `at`.
    """
    known = list(candidates)
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        folder = Path(name)
        # The principals are ours, since in an id `*` or `,` would be a pattern.
        signers = "".join(_signer(str(number), namespace, key) for number, (_, key) in enumerate(known))
        (folder / "signers").write_text(signers, encoding="utf-8")
        (folder / "signature").write_text(armored, encoding="utf-8", errors="replace")
        files = ["-f", str(folder / "signers"), "-s", str(folder / "signature")]
        moment = f"-Overify-time={at:%Y%m%d%H%M%S}"
        found = _keygen(["-Y", "find-principals", *files, moment], b"")
        principal = found.out.decode("utf-8", "replace").strip()
        if found.code != 0 or not principal.isdecimal():
            return None
        checked = _keygen(["-Y", "verify", *files, "-I", principal, "-n", namespace, moment], message)
        return known[int(principal)][0] if checked.code == 0 else None


def public_line(private_key: Path) -> str:
    """The public key as `type base64`.

    No passphrase is asked for. A `.pub` beside the key that is another's may be read in its place: `sign` then fails.
    Raises `UsageError` when there is no key, `LabError` when it can't be read.
    """
    if not private_key.is_file():
        raise UsageError("there is no key here", where=str(private_key), next_command="lab ... --key FILE")
    if private_key.suffix == ".pub":
        line = " ".join(private_key.read_text(encoding="utf-8", errors="replace").split()[:2])
    else:
        # Out to RFC 4716 and back: unlike -y it asks for no passphrase.
        exported = _keygen(["-e", "-m", "RFC4716", "-f", str(private_key)], b"")
        if exported.code != 0:
            raise LabError(_why_not(exported, private_key), where=str(private_key))
        line = _keygen(["-i", "-f", "/dev/stdin"], exported.out).out.decode("ascii", "replace").strip()
    if not is_public_line(line):
        raise LabError("not an SSH public key", where=str(private_key))
    return line


def is_public_line(line: str) -> bool:
    """Whether `line` is `type base64`, without options or comment."""
    return _LINE.fullmatch(line) is not None


def valid_on(key: Key, day: date) -> bool:
    """Whether `key` counts on `day`."""
    return not (key.first_day and day < key.first_day) and not (key.last_day and day > key.last_day)


def _signer(principal: str, namespace: str, key: Key) -> str:
    options = [f'namespaces="{namespace}"']
    if key.first_day:
        options.append(f'valid-after="{key.first_day:%Y%m%d}000000"')
    if key.last_day:
        options.append(f'valid-before="{key.last_day:%Y%m%d}235959"')
    line = " ".join(key.line.split()[:2])
    return f"{principal} {','.join(options)} {line}\n" if is_public_line(line) else ""


def _keygen(arguments: Sequence[str], message: bytes, *, show_errors: bool = False) -> process.Completed:
    try:
        return process.run(
            ["ssh-keygen", *arguments], input=message, env={**os.environ, **_UTC}, show_errors=show_errors
        )
    except FileNotFoundError:
        raise LabError("ssh-keygen is not installed", next_command="apt install openssh-client") from None


def _why_not(done: process.Completed, private_key: Path) -> str:
    """What `ssh-keygen` complained of, as what to do about it."""
    said = done.err.decode("utf-8", "replace")
    if "UNPROTECTED" in said:
        return f"others may read this private key; run chmod 600 {private_key}"
    if "incorrect passphrase" in said:
        return "the passphrase is wrong, or there was no terminal to ask for it; an agent helps (ssh-add)"
    if "doesn't match private" in said:
        return (
            f"the public key beside it is another's; make it anew: ssh-keygen -y -f {private_key} > {private_key}.pub"
        )
    if "No private key found" in said or "agent" in said:
        return "its private half is neither in a file nor in an agent; add it with ssh-add, or name the private key"
    return f"ssh-keygen could not use this key: {done.error_text}"
