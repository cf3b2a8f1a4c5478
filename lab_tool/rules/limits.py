"""How old the last good result of a verb may be on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab_tool.rules.data import read


@dataclass(frozen=True, slots=True)
class Limit:
    """In days; for machines of these profiles, or of all where none is named."""

    days: int
    profiles: tuple[str, ...]


LIMITS: Mapping[str, Limit] = {
    verb: Limit(fields["days"], tuple(fields.get("profiles", ()))) for verb, fields in read("limits.yml").items()
}
