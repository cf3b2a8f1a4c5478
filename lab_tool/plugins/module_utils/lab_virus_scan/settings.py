"""What the role wrote down for this PC, for `lab-scan` as for the modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .files import read_json
from .signatures import DAY, Wanted

PATH = "/etc/lab/virus_scan.json"
# Signatures would be found in themselves, and what is in quarantine once more.
NEVER = (
    "/var/lib/clamav",
    "/var/lib/clamav/*",
    "/var/lib/lab/quarantine",
    "/var/lib/lab/quarantine/*",
    "/var/lib/lab/virus_scan/*",
)


class SettingsError(Exception):
    """The role has not been here."""


@dataclass(frozen=True)
class Settings:
    """`stays`: whether the engine goes on running between scans; `largest` in bytes."""

    wanted: Wanted
    stays: bool
    largest: int
    excluded: Sequence[str]
    allowed: Sequence[str]


def load(path: str = PATH) -> Settings:
    """Read them; raises `SettingsError`."""
    fields: Any = read_json(path)
    if not fields:
        raise SettingsError(f"{path} can't be read: the role virus_scan has not been run on this PC")
    return Settings(
        Wanted(fields["official"], fields["extra"], fields["signature_age"] * DAY),
        fields["engine"] == "daemon",
        fields["largest_file"] * 1024**2,
        [*NEVER, *fields["exclude"]],
        fields["allowed"],
    )
