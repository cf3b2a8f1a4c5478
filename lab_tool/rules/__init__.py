"""What the regulations demand and how it is met, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml

from lab_tool.school.model import Risk, Text


@dataclass(frozen=True, slots=True)
class Verb:
    """Something done to machines. `playbook` is a path in the project, `risk` the least a change of it has, `until` the
    role's input that takes the end of the window (UTC, seconds), or empty.
    """

    id: str
    name: Text
    playbook: str
    role: str
    risk: Risk
    rules: tuple[str, ...]
    until: str


def _load_verbs() -> dict[str, Verb]:
    text = (files(__name__) / "verbs.yml").read_text(encoding="utf-8")
    return {
        name: Verb(
            id=name,
            name=Text(**fields["name"]),
            playbook=fields["playbook"],
            role=fields["role"],
            risk=fields["risk"],
            rules=tuple(fields["rules"]),
            until=fields.get("until", ""),
        )
        for name, fields in yaml.load(text, Loader=yaml.CSafeLoader).items()
    }


VERBS: Mapping[str, Verb] = _load_verbs()
