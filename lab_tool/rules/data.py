"""Where the YAML beside this file is read."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def read(name: str) -> dict[str, dict[str, Any]]:
    """The fields of each entry of a file of this package, by id."""
    text = (files("lab_tool.rules") / name).read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return loaded
