"""A room's folder: what the caller of `build_room` finds there, and no more than that is removed again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import identity
from tests.testbed.errors import RoomError


@dataclass(frozen=True, slots=True)
class RoomFolder:
    """The files of one room."""

    path: Path

    @property
    def private_key(self) -> Path:
        """Opens all hosts of the room; its public half lies beside it."""
        return self.path / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' SSH keys."""
        return self.path / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """For the hand: `ssh -F ssh_config pc01`."""
        return self.path / "ssh_config"

    @property
    def consoles(self) -> Path:
        """What each host said while booting."""
        return self.path / "console"

    @property
    def _mark(self) -> Path:
        """Says that the other files here are a room's, and may be deleted."""
        return self.path / ".testbed-room"

    def console(self, host: str) -> Path:
        """What that host said."""
        return self.consoles / f"{host}.log"

    def prepare(self, room: str, addresses: Iterable[tuple[str, str]]) -> str:
        """Make it, with a new key pair; the public line. `addresses`: name and address of each host.

        Raises `RoomError` for a folder that holds anything but an earlier room's files.
        """
        self.clear()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.path.iterdir()):
            raise RoomError(f"{self.path} is not empty, and no room's folder: a room needs one of its own")
        self._mark.touch()
        self.consoles.mkdir()
        aliases = "".join(f"Host {name}\n  HostName {address}\n" for name, address in addresses)
        options = (
            f"User {identity.USER}",
            f'IdentityFile "{self.private_key}"',
            "IdentitiesOnly yes",
            f'UserKnownHostsFile "{self.known_hosts}"',
            "StrictHostKeyChecking yes",
        )
        self.ssh_config.write_text(f"{aliases}Host *\n" + "".join(f"  {option}\n" for option in options), "utf-8")
        return identity.make_key(self.private_key, f"{identity.USER}@{room}")

    def write_known_hosts(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Name, address and public key of each host, read on the host's own disk: nobody is trusted for answering."""
        self.known_hosts.write_text("".join(f"{name},{address} {key}\n" for name, address, key in keys), "ascii")

    def clear(self, *, keep_consoles: bool = False) -> None:
        """Remove what a room wrote here, and the folder once it is empty; nothing in a folder that is no room's."""
        if not self._mark.exists():
            return
        for file in (self.private_key, self.private_key.with_suffix(".pub"), self.known_hosts, self.ssh_config):
            file.unlink(missing_ok=True)
        if not keep_consoles:
            shutil.rmtree(self.consoles, ignore_errors=True)
            self._mark.unlink()
        with suppress(OSError):
            self.path.rmdir()
