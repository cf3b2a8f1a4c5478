"""Running two commands in turn, and what each pair says of their ratio."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """One finished command: wall seconds, CPU seconds (user and system), and peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Medians of A and of B, and the median of A/B pair by pair with the spread of the pairs."""

    a: float
    b: float
    ratio: float
    lowest: float
    highest: float

    def row(self, name: str, unit: str, limit: str) -> str:
        """A row of a Markdown table."""
        spread = f"{self.lowest:.2f}-{self.highest:.2f}"
        return f"| {name} | {self.a:.2f} {unit} | {self.b:.2f} {unit} | {self.ratio:.2f} | {spread} | {limit} |"


HEADINGS = "| what | ours | baseline | ratio (median of pairs) | pairs | goal |\n| --- | --- | --- | --- | --- | --- |"


def cost(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """Run `argv` to its end, its output thrown away. Raises `CalledProcessError` when it fails."""
    begin = time.monotonic()
    with subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, argv)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def ratio(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """The ratio of two series measured in turn, A B A B ..."""
    pairs = [one / other for one, other in zip(a, b, strict=True)]
    return Ratio(statistics.median(a), statistics.median(b), statistics.median(pairs), min(pairs), max(pairs))
