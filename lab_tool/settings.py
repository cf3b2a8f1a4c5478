"""Where things lie: the project, the school's inventory and the state of this control node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Absolute paths; `LAB_INVENTORY` and `LAB_STATE` move the two folders that belong to the school."""

    project: Path
    inventory: Path
    state: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Settings from `LAB_INVENTORY` (default `inventory/`) and `LAB_STATE` (default `state/`)."""
        inventory = environment.get("LAB_INVENTORY") or str(PROJECT / "inventory")
        state = environment.get("LAB_STATE") or str(PROJECT / "state")
        return cls(PROJECT, Path(inventory).absolute(), Path(state).absolute())

    @property
    def log(self) -> Path:
        """The log's folder."""
        return self.state / "log"

    @property
    def keys(self) -> Path:
        """The control node's own keys: `log` signs checkpoints, `ssh` opens the PCs."""
        return self.state / "keys"

    @property
    def images(self) -> Path:
        """The store of images."""
        return self.state / "images"

    @property
    def known_hosts(self) -> Path:
        """The PCs' SSH host keys."""
        return self.state / "known_hosts"

    @property
    def locks(self) -> Path:
        """One lock file per host."""
        return self.state / "locks"

    @property
    def runs(self) -> Path:
        """One folder per run: the host list handed to Ansible. No secrets."""
        return self.state / "runs"
