"""How old the last good result of a verb may be on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Limit:
    """In days; for machines of these profiles, or of all where none is named."""

    days: int
    profiles: tuple[str, ...]


def _load_limits() -> dict[str, Limit]:
    text = (files("lab_tool.rules") / "limits.yml").read_text(encoding="utf-8")
    loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    return {verb: Limit(fields["days"], tuple(fields.get("profiles", ()))) for verb, fields in loaded.items()}


LIMITS: Mapping[str, Limit] = _load_limits()
