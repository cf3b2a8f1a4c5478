"""One run at a time per host."""

from __future__ import annotations

import fcntl
import json
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab_tool.errors import RefusedError, UsageError

# Open files that Ansible needs for itself and its connections.
BESIDE_LOCKS = 2048


@contextmanager
def host_locks(folder: Path, hosts: Sequence[str], *, run: str, actor: str, since: str) -> Iterator[tuple[int, ...]]:
    """Hold the locks of all `hosts`, or of none; yields the descriptors, to be inherited by Ansible.

    A lock belongs to the open file, so it lasts until the last process that inherited it has ended: also when `lab`
    is killed and a worker of Ansible is still acting on the host. Raises `RefusedError` naming who holds a host.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _allow_open_files(len(hosts) + BESIDE_LOCKS)
    held: list[int] = []
    try:
        holder = {"run": run, "actor": actor, "since": since}
        # Sorted, so that of two runs that overlap one gets all it asks for.
        held.extend(_lock(folder / f"{host}.lock", host, holder) for host in sorted(hosts))
        yield tuple(held)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _allow_open_files(number: int) -> None:
    """A thousand PCs are a thousand open locks, which Ansible inherits: ask for room as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise UsageError(
            f"{number} open files are needed, and this account may have {hard}", next_command=f"ulimit -n {number}"
        )
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def is_held(folder: Path, hosts: Sequence[str], run: str) -> bool:
    """Whether any process of `run` still holds one of `hosts`."""
    for host in hosts:
        path = folder / f"{host}.lock"
        if not path.exists():
            continue
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _holder(descriptor).get("run") == run:
                return True
        finally:
            os.close(descriptor)
    return False


def is_inherited(folder: Path, host: str, descriptor: int) -> bool:
    """Whether `descriptor` is the lock of `host`, held, and handed down by whoever took it.

    Nobody can come by it otherwise: another open of the same file is another lock, and would have to wait.
    """
    try:
        same = os.path.samestat(os.fstat(descriptor), (folder / f"{host}.lock").stat())
        other = os.open(folder / f"{host}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        pass
    finally:
        os.close(other)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return same


def _lock(path: Path, host: str, holder: dict[str, str]) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = _holder(descriptor)
        os.close(descriptor)
        raise RefusedError(
            f"{host} is in use by run {other.get('run', '?')} of {other.get('actor', '?')}, "
            f"since {other.get('since', '?')}",
            next_command=f"lab log show --run {other.get('run', 'RUN')}",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _holder(descriptor: int) -> dict[str, str]:
    """Who wrote the lock file last; empty when it is being written this moment."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}
