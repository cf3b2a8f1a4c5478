"""Drawing hosts for an inspection that nobody can foresee, so that anybody can check the draw afterwards.

The hosts are sorted by SHA-256 of the seed, a zero byte and the host's name (UTF-8); the first so many are drawn.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab_tool.canonical import Json
from lab_tool.core.plain_text import unfit_in
from lab_tool.errors import UsageError

SAMPLE = re.compile(r"([0-9]{1,6})(%?)")
LONGEST_SEED = 200


@dataclass(frozen=True, slots=True)
class Draw:
    """Who was drawn, and from what. `chosen` tells that somebody gave the seed; else it came from the system's
    randomness. `sample` is what was asked for, `size` what that came to.
    """

    seed: str
    chosen: bool
    sample: str
    size: int
    candidates: tuple[str, ...]
    hosts: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """For the log."""
        return {
            "v": 1,
            "type": "drift.draw",
            "seed": self.seed,
            "chosen": self.chosen,
            "sample": self.sample,
            "size": self.size,
            "candidates": list(self.candidates),
            "candidates_sha256": digest(self.candidates),
            "hosts": list(self.hosts),
        }


def draw(candidates: Iterable[str], sample: str, seed: str, *, chosen: bool) -> Draw:
    """Draw `sample` (`10%`, at least one, or a number) of the candidates. Raises `UsageError`."""
    names = tuple(sorted(set(candidates)))
    unfit = unfit_in(seed, LONGEST_SEED) if seed else "nothing"
    if unfit:
        raise UsageError(f"the seed holds {unfit}", next_command="lab drift --help")
    size = sample_size(sample, len(names))
    return Draw(seed, chosen, sample, size, names, tuple(sorted(ordered(names, seed)[:size])))


def ordered(candidates: Iterable[str], seed: str) -> list[str]:
    """The candidates in the order in which the seed draws them."""
    return sorted(candidates, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())


def sample_size(sample: str, candidates: int) -> int:
    """How many hosts `10%` or `3` of so many candidates are: rounded up. Raises `UsageError`."""
    found = SAMPLE.fullmatch(sample)
    number = int(found[1]) if found else 0
    percent = bool(found and found[2])
    if not number or (percent and number > 100) or (not percent and number > candidates):
        raise UsageError(
            f"a sample is 1% to 100%, or 1 to {candidates} hosts, not {sample!r}", next_command="lab drift --help"
        )
    return -(-candidates * number // 100) if percent else number


def digest(candidates: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) of the sorted names, a line feed behind each."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(candidates)).encode()).hexdigest()


def read_draw(stored: Mapping[str, Any]) -> Draw:
    """The draw that `as_json` gave. Raises `ValueError` for what is none."""
    try:
        return Draw(
            seed=str(stored["seed"]),
            chosen=bool(stored["chosen"]),
            sample=str(stored["sample"]),
            size=int(stored["size"]),
            candidates=tuple(map(str, stored["candidates"])),
            hosts=tuple(map(str, stored["hosts"])),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no draw: {error!r}") from error


def faults(stored: Mapping[str, Any]) -> list[str]:
    """What is wrong with a draw by itself; empty when anybody would have drawn the same."""
    made = read_draw(stored)
    found = []
    if stored.get("candidates_sha256") != digest(made.candidates):
        found.append("the list of candidates is not the one of its digest")
    try:
        again = draw(made.candidates, made.sample, made.seed, chosen=made.chosen)
    except UsageError as error:
        return [*found, error.what]
    if again.candidates != made.candidates:
        found.append("the candidates are not in order, or stand there twice")
    if again.size != made.size:
        found.append(f"{made.sample} of {len(made.candidates)} candidates are {again.size}, not {made.size}")
    if again.hosts != made.hosts:
        found.append(f"this seed draws {', '.join(again.hosts)}, not {', '.join(made.hosts)}")
    return found
