"""The repositories of a PC as a role names them, and what is kept on the PC of their checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .restic import SETTINGS, Repository

CHECKS = "/var/lib/lab-backup/checks.json"
PLACES_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "server": {"type": "str", "required": True},
        "off_site": {"type": "bool", "default": False},
        "repository": {"type": "str", "default": ""},
    },
}


def repository_of(module: Any, name: str, folder: str = "") -> Repository:
    """The repository of that name; `folder` where its address and password don't lie where the PC's own do."""
    return Repository(module, f"{folder or SETTINGS}/{name}")


def read_checks() -> dict[str, Any]:
    """The last check of each repository; nothing where there was none."""
    try:
        found = json.loads(Path(CHECKS).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep_checks(checks: Mapping[str, Any]) -> None:
    """Write so that a cut leaves the old file or the new one."""
    new = Path(CHECKS + ".new")
    new.write_text(json.dumps(checks), encoding="ascii")
    new.replace(CHECKS)


def next_part(check: Mapping[str, Any], parts: int) -> int:
    """The part to read next: the one after the last good one, the same where it was bad, the first of a new count."""
    if check.get("parts") != parts:
        return 1
    part = int(check["part"])
    return part if check.get("damage") else part % parts + 1
