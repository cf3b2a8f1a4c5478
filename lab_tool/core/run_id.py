"""Names of runs."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_run_id(now: datetime) -> str:
    """`r-20261124T102030-1f2e`: when (UTC), and four hexadecimal digits so that two in one second differ."""
    return f"r-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
