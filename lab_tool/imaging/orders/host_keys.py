"""The PCs' SSH host keys in `state/known_hosts`: a PC that was set up anew has new ones."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Sequence

from lab_tool import process
from lab_tool.errors import LabError
from lab_tool.settings import Settings

_HOST_KEY = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,3}")


def replace_host_keys(settings: Settings, names: Sequence[str], lines: Sequence[str]) -> None:
    """From now on `lines` (public keys) and no others are those of the PC that is known by `names` and addresses."""
    keys = [" ".join(line.split()[:2]) for line in lines]
    if not keys or not all(_HOST_KEY.fullmatch(key) for key in keys):
        raise LabError(f"{names[0]} told no usable host keys")
    path = settings.known_hosts
    path.touch(mode=0o600)
    with path.with_name("known_hosts.lock").open("w") as lock:
        # Forty PCs of a room are done at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            done = process.run(["ssh-keygen", "-q", "-R", name, "-f", str(path)])
            if done.code != 0:
                raise LabError(f"old host keys could not be removed: {done.error_text}", where=str(path))
        path.with_name("known_hosts.old").unlink(missing_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write("".join(f"{','.join(names)} {key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
