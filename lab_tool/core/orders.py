"""The four ways to a run: an approved change, a standing approval, an emergency, the rest of an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lab_tool.core.change import get_change, request_emergency
from lab_tool.core.gate import find_standing, require_grant, require_runnable
from lab_tool.core.identity import identify
from lab_tool.core.plan import Plan, make_plan
from lab_tool.core.resume import unfinished
from lab_tool.core.run import Order
from lab_tool.errors import UsageError
from lab_tool.log.store import LogStore
from lab_tool.rules import VERBS
from lab_tool.school.model import Host, School
from lab_tool.settings import Settings

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed: a change id or a verb, rooms and hosts, an emergency's reason, a run to resume; or empty."""

    target: str
    rooms: tuple[str, ...]
    hosts: tuple[str, ...]
    emergency: str
    resume: str
