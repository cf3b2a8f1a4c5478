"""Everything an auditor or a teacher reads is there in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab_tool.settings import PROJECT
from lab_tool.words import load

AREAS = sorted(path.stem for path in (PROJECT / "lab_tool" / "words").glob("*.yml"))
PLACE = re.compile(r"\{(\w+)\}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("area", AREAS)
def test_every_word_is_in_both_languages_with_the_same_places(area: str) -> None:
    for key, words in load(area).items():
        assert set(words) == {"zh", "en"}, key
        assert sorted(PLACE.findall(words["zh"])) == sorted(PLACE.findall(words["en"])), key
        assert CHINESE.search(words["zh"]), key


def test_no_word_is_missing() -> None:
    """Each `say("area", "key")` written out in the code has words."""
    asked = re.compile(r"""say\(\s*(?:self\._language, |language, )?["'](\w+)["'],\s*["'](\w+)["']""")
    for path in sorted((PROJECT / "lab_tool").rglob("*.py")):
        for area, key in asked.findall(Path(path).read_text(encoding="utf-8")):
            assert key in load(area), f"{path.name}: {area}.{key}"
