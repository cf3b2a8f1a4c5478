"""Every word an auditor or a teacher reads, in Chinese and English: one YAML file an area, `key: {zh: , en: }`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

Language = Literal["zh", "en"]


@cache
def load(area: str) -> dict[str, dict[str, str]]:
    """All words of `lab_tool/words/<area>.yml`."""
    text = (files(__name__) / f"{area}.yml").read_text(encoding="utf-8")
    words: dict[str, dict[str, str]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return words


def say(language: Language, area: str, key: str, /, **values: object) -> str:
    """The words for `key`, with `{name}` places filled in; a key nobody wrote words for is shown as it is."""
    words = load(area).get(key)
    return words[language].format(**values) if words else key
