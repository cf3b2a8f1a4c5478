"""Small files of this tool's own, below a folder that only root can enter."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

STATE = "/var/lib/lab/virus_scan"


def private_folder(path: str) -> None:
    """Make it, for root alone."""
    Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(path).chmod(0o700)


def write_json(path: str, content: Any) -> None:
    """Whole or not at all."""
    draft = f"{path}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


def read_json(path: str) -> Any:
    """What is in it; None where there is nothing to be read."""
    try:
        return json.loads(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
