"""What is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_tool.canonical import Json
from lab_tool.core.plan import Plan
from lab_tool.school.model import Host, Person


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, by whom, and by what right. `hosts` is never empty; `emergency` is a reason or empty."""

    plan: Plan
    hosts: tuple[Host, ...]
    actor: Person
    key: Path
    check: bool
    change: str = ""
    approval: Mapping[str, Json] | None = None
    emergency: str = ""
    resumes: str = ""
