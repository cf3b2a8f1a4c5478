"""Drawing hosts: the same for anybody, and whatever is not so is told."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_tool.core.draw import Draw, draw, faults, read_draw
from lab_tool.errors import UsageError

NAMES = tuple(f"a301-{seat:02d}" for seat in range(1, 41))


def made(sample: str = "10%", seed: str = "lottery 17") -> Draw:
    """A draw from a room of forty."""
    return draw(NAMES, sample, seed, chosen=True)


def test_is_what_the_documentation_says() -> None:
    """By hand, with nothing but SHA-256."""
    by_hand = sorted(NAMES, key=lambda name: hashlib.sha256(b"lottery 17\0" + name.encode()).hexdigest())[:4]
    assert made().hosts == tuple(sorted(by_hand))
    assert draw(reversed(NAMES), "10%", "lottery 17", chosen=True) == made()
    assert made(seed="lottery 18").hosts != made().hosts


@pytest.mark.parametrize(
    ("sample", "size"), [("10%", 4), ("1%", 1), ("11%", 5), ("100%", 40), ("1", 1), ("40", 40), ("007", 7)]
)
def test_size(sample: str, size: int) -> None:
    assert made(sample).size == len(made(sample).hosts) == size


@pytest.mark.parametrize("sample", ["", "0", "0%", "41", "101%", "-1", "1.5", "10 %", "x", "\u0663"])
def test_no_size(sample: str) -> None:
    with pytest.raises(UsageError, match="a sample is"):
        made(sample)


@pytest.mark.parametrize("seed", ["", "a\0b", "\u202e", "x" * 201])
def test_no_seed(seed: str) -> None:
    with pytest.raises(UsageError, match="the seed holds"):
        made(seed=seed)


@given(
    st.sets(st.sampled_from(NAMES), min_size=1),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=50),
)
def test_whatever_is_drawn_stands_the_check(names: set[str], seed: str) -> None:
    drawn = draw(names, "30%", seed, chosen=False)
    assert set(drawn.hosts) <= names
    assert faults(drawn.as_json()) == []
    assert read_draw(drawn.as_json()) == drawn


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hosts": ["a301-01", "a301-02", "a301-03", "a301-04"]}, "this seed draws"),
        ({"seed": "lottery 19"}, "this seed draws"),
        ({"candidates": [*NAMES, "a302-01"]}, "not the one of its digest"),
        ({"candidates": list(reversed(NAMES))}, "not in order"),
        ({"candidates": [*NAMES, NAMES[-1]]}, "stand there twice"),
        ({"size": 3}, "are 4, not 3"),
        ({"sample": "20%"}, "are 8, not 4"),
        ({"sample": "200%"}, "a sample is"),
        ({"seed": ""}, "the seed holds nothing"),
    ],
)
def test_a_draw_that_was_tampered_with(changes: dict[str, Any], says: str) -> None:
    assert any(says in fault for fault in faults({**made().as_json(), **changes}))


@pytest.mark.parametrize("stored", [{}, {**made().as_json(), "hosts": 3}, {**made().as_json(), "size": "many"}])
def test_what_is_no_draw(stored: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read_draw(stored)
