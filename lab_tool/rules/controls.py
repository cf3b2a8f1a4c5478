"""The catalogue of controls: what each is called, and the rules it puts into effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml

from lab_tool.school.model import Text


@dataclass(frozen=True, slots=True)
class Control:
    """A control's name, and the ids of its rules."""

    name: Text
    rules: tuple[str, ...]


def _load_controls() -> dict[str, Control]:
    text = (files("lab_tool.rules") / "controls.yml").read_text(encoding="utf-8")
    loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    return {name: Control(Text(**fields["name"]), tuple(fields["rules"])) for name, fields in loaded.items()}


CONTROLS: Mapping[str, Control] = _load_controls()
