"""Names of files as text."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.plugins.module_utils.lab_virus_scan.names import LONGEST, shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"/home/a/letter.txt", "/home/a/letter.txt"),
        ("/home/a/作业.txt".encode(), "/home/a/作业.txt"),
        (b"a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        (b"\xff", "\\xff"),
        (b"a\\nb", "a\\\\nb"),
        ("\u202egnp.exe".encode(), "\\u202egnp.exe"),
    ],
)
def test_nothing_but_plain_text_is_left(name: bytes, text: str) -> None:
    assert shown(name) == text


@given(st.binary(min_size=1, max_size=600))
def test_any_name_is_harmless(name: bytes) -> None:
    text = shown(name)
    assert text.isprintable()
    assert len(text) <= LONGEST + len("[...]")
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text


@given(st.binary(min_size=1, max_size=70), st.binary(min_size=1, max_size=70))
def test_two_names_never_look_the_same(one: bytes, other: bytes) -> None:
    assert (shown(one) == shown(other)) == (os.fsdecode(one) == os.fsdecode(other))
