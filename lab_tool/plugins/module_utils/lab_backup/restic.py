"""restic on one repository of this PC, started through an Ansible module."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .explain import explain

SETTINGS = "/etc/lab-backup/places"
CACHE = "/var/cache/lab-backup"
LOCKED = "already locked"
PAUSE = 5.0


class ResticError(Exception):
    """restic failed; the text says why, in words of explain."""


@dataclass(frozen=True)
class Repository:
    """A repository by the folder that holds its address, password and authority; `module` starts programs."""

    module: Any
    folder: str
    patience: int = 600

    @property
    def is_set_up(self) -> bool:
        """Whether its address is there; in a rehearsal of the first run it is not."""
        return Path(self.folder, "repository").exists()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors. A lock nobody holds any more is removed, one that is held is waited for."""
        deadline = time.monotonic() + self.patience
        while True:
            code, out, err = self._start(arguments)
            if code == 0 or LOCKED not in err or time.monotonic() >= deadline:
                return code, out, err
            self._start(("unlock",))
            code, out, err = self._start(arguments)
            if code == 0 or LOCKED not in err:
                return code, out, err
            time.sleep(PAUSE)

    def read(self, *arguments: str) -> Any:
        """What restic answers in JSON, without a lock: nothing is written. Raises `ResticError`."""
        code, out, err = self._start((*arguments, "--json", "--no-lock"))
        if code:
            raise ResticError(explain(err))
        return json.loads(out)

    def lines(self, *arguments: str) -> list[Any]:
        """The same where the answer is one JSON object a line."""
        code, out, err = self._start((*arguments, "--json", "--no-lock"))
        if code:
            raise ResticError(explain(err))
        return [json.loads(line) for line in out.splitlines() if line.strip()]

    def snapshots(self, host: str) -> list[Any]:
        """The snapshots of a host, oldest first."""
        found = self.read("snapshots", "--host", host) or []
        return sorted(found, key=lambda one: str(one["time"]))

    def _start(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        folder = Path(self.folder)
        environment = {
            "RESTIC_REPOSITORY_FILE": str(folder / "repository"),
            "RESTIC_PASSWORD_FILE": str(folder / "password"),
            "RESTIC_CACHE_DIR": CACHE,
            "RESTIC_PROGRESS_FPS": "0.01",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        argv = ["restic", "--cacert", str(folder / "ca.pem"), *arguments]
        code, out, err = self.module.run_command(argv, environ_update=environment, handle_exceptions=False)
        return int(code), str(out), str(err)
