"""The catalogue of controls: what each is called, and the rules it puts into effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab_tool.rules.data import read
from lab_tool.school.model import Text


@dataclass(frozen=True, slots=True)
class Control:
    """A control's name, and the ids of its rules."""

    name: Text
    rules: tuple[str, ...]


CONTROLS: Mapping[str, Control] = {
    name: Control(Text(**fields["name"]), tuple(fields["rules"])) for name, fields in read("controls.yml").items()
}
