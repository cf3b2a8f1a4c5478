"""Where this program is: what the kernel command line says, what the deploy system carries, how time passes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab_tool.imaging.deploy.trouble import DeployError

_PIN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Situation:
    """`api` and `http` are the image server's two addresses, `pin` the SHA-256 of its certificate. `token` is secret.

    `base` stands before `/etc/lab`, `/boot-area`, `/sys` and `/run`, so that tests need no PC; `disk` is empty but
    there, where the order and the PC decide. `heal` repairs from the cache partition and asks no server.
    """

    api: str = ""
    http: str = ""
    pin: str = ""
    token: str = ""
    mac: str = ""
    heal: bool = False
    base: Path = Path("/")
    disk: str = ""
    patience: float = 600.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __repr__(self) -> str:
        return f"Situation(api={self.api!r}, mac={self.mac!r}, disk={self.disk!r})"

    @property
    def scratch(self) -> Path:
        """A folder in memory for what is built before it is written."""
        return self.base / "run" / "lab"

    @property
    def deploy(self) -> str:
        """The id of the deploy system that runs. Raises `DeployError`."""
        path = self.base / "etc/lab/deploy.json"
        try:
            return str(json.loads(path.read_bytes())["id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeployError(
                "this deploy system does not know its own id", where=str(path), advice="Build it again"
            ) from error

    def trusted(self, name: str) -> tuple[str, ...]:
        """The lines of `/etc/lab/trust/<name>` without white space around them and without empty ones."""
        try:
            text = (self.base / "etc/lab/trust" / name).read_text("ascii", "replace")
        except FileNotFoundError:
            return ()
        return tuple(line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#"))

    def check(self) -> None:
        """Raise `DeployError` unless there is all that is needed to talk to a server that may be talked to."""
        if self.heal:
            return
        for name in ("api", "http", "pin", "token", "mac"):
            if not getattr(self, name):
                raise DeployError(f"the kernel command line has no lab.{name}", advice="Start the PC from the network")
        pins = self.trusted("pins")
        if not _PIN.fullmatch(self.pin) or (pins and self.pin not in pins):
            raise DeployError(
                "this boot names an image server that this deploy system was not built for",
                where=self.api,
                advice="Find out which machine on this network answers network boots",
            )


def from_command_line(text: str, **more: object) -> Situation:
    """What `lab.api=...` and its like in a kernel command line say; `more` are other fields, as they are."""
    said = dict(word[4:].split("=", 1) for word in text.split() if word.startswith("lab.") and "=" in word)
    return Situation(
        api=said.get("api", "").rstrip("/"),
        http=said.get("http", "").rstrip("/"),
        pin=said.get("pin", "").lower(),
        token=said.get("token", ""),
        mac=said.get("mac", "").lower(),
        heal=said.get("heal", "") == "1",
        **more,  # type: ignore[arg-type]
    )
