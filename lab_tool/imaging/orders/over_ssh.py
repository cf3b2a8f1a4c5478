"""The parts of a capture as they lie on the image server, read over SSH with the keys of the runs.

Deliberately not over HTTP: a PC's disk is shown to nobody in the lab. Nothing is changed on the server.
"""

from __future__ import annotations

import os
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from lab_tool import process
from lab_tool.core.playbook import environment
from lab_tool.errors import LabError, UsageError
from lab_tool.imaging.format.order import ORDER_ID
from lab_tool.settings import Settings

# Where the daemon of the role `image_server` keeps them.
INCOMING = "/var/lib/lab-image-server/incoming"
# As ansible.cfg has them for runs; and nobody is there to type a password.
_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=6")
_PATIENCE = 120


@dataclass(frozen=True, slots=True)
class OverSsh:
    """The parts of `order` on the server at `address`, of which `user` (empty: the same as here) may become root."""

    settings: Settings
    address: str
    user: str
    port: int
    order: str

    def sizes(self) -> Mapping[str, int]:
        """The files that are there, and their sizes in bytes. Raises `LabError`."""
        argv = self._command(["find", self._folder, "-maxdepth", "1", "-type", "f", "-printf", "%f %s\\n"])
        done = process.run(argv, env=self._environment, timeout=_PATIENCE)
        if done.code != 0:
            raise LabError(f"what the PC sent can't be read: {done.error_text}", where=self.address)
        pairs = (line.rpartition(" ") for line in done.out.decode("utf-8", "replace").splitlines())
        return {name: int(size) for name, _, size in pairs}

    @contextmanager
    def read(self, names: Sequence[str]) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
        """These files, one after the other. Raises `LabError` where they could not be read to their end."""
        argv = self._command(["tar", "-c", "-C", self._folder, "--", *names])
        with tempfile.TemporaryFile() as said:
            child = process.start(argv, env=self._environment, pass_fds=(), err=said)
            assert child.stdout is not None
            try:
                with tarfile.open(fileobj=child.stdout, mode="r|") as archive:
                    yield _files(archive)
                # What follows the last file: a full pipe would keep tar from ending.
                while child.stdout.read(1 << 16):
                    pass
                code = child.wait()
            except tarfile.TarError as error:
                child.kill()
                child.wait()
                raise LabError(f"the connection to the image server broke off: {_last(said) or error}") from error
            finally:
                child.stdout.close()
                child.kill()
                child.wait()
            if code != 0:
                raise LabError(f"the image server did not send all: {_last(said)}", where=self.address)

    @property
    def _folder(self) -> str:
        if not ORDER_ID.fullmatch(self.order):
            raise UsageError(f"{self.order!r} is no id of an order")
        return f"{INCOMING}/{self.order}"

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self.settings, "", os.environ)

    def _command(self, remote: Sequence[str]) -> list[str]:
        surroundings = self._environment
        key = surroundings.get("ANSIBLE_PRIVATE_KEY_FILE")
        return [
            "ssh",
            *shlex.split(surroundings["ANSIBLE_SSH_ARGS"]),
            *(word for option in _OPTIONS for word in ("-o", option)),
            *(("-i", key) if key else ()),
            *(("-l", self.user) if self.user else ()),
            *("-p", str(self.port), "--", self.address),
            shlex.join([*(() if self.user == "root" else ("sudo", "-n")), *remote]),
        ]


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in archive:
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise LabError(f"the image server sent {member.name[:80]!r}, which is no file")
        yield member.name, content


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
