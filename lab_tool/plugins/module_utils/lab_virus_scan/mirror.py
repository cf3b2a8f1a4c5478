"""What a mirror of signatures holds, and whether it really serves it."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import signatures
from .names import shown
from .signatures import DAY

OFFICIAL = ("main", "daily", "bytecode")
UNIT = "lab-signatures.service"
PATIENCE = 10.0
# How many of the school's own files are named in the log; all are counted.
TOLD = 20

Run = Callable[["list[str]"], "tuple[int, str]"]


@dataclass(frozen=True)
class Wanted:
    """What a mirror has to be: `age` in days."""

    folder: str
    databases: bool
    age: int
    url: str


def read(run: Run, wanted: Wanted, now: int) -> tuple[str, dict[str, Any]]:
    """What is wrong with it (empty: nothing), and the values for the log."""
    official, extra = Path(wanted.folder, "official"), Path(wanted.folder, "extra")
    known = signatures.look(
        signatures.Wanted(OFFICIAL if wanted.databases else (), (), wanted.age * DAY), now, str(official)
    )
    # Files for patches of a database come and go, and are asked for by nobody who has none of them.
    own = sorted(path for path in extra.iterdir() if path.is_file()) if extra.is_dir() else []
    lying = [*(official / base.name for base in known.databases), *own]
    not_served = [path.name for path in lying if not _is_served(f"{wanted.url}/{path.name}", path)]
    fetched = _fetched(run) if wanted.databases else "never"
    values = {
        "url": wanted.url,
        "signatures": known.as_json(),
        "extra": [signatures.read(path).as_json() for path in own[:TOLD]],
        "extra_count": len(own),
        "served": len(lying) - len(not_served),
        "fetched": fetched,
    }
    return _trouble(known.trouble if wanted.databases else "", not_served, bool(lying), fetched), values


def _trouble(stale: str, not_served: list[str], holds_any: bool, fetched: str) -> str:
    if stale:
        return stale + (f"; the last fetching ended with: {fetched}" if fetched != "success" else "")
    if not_served:
        return f"not served: {', '.join(not_served[:5])}"
    return "" if holds_any else "there is nothing to serve"


def _fetched(run: Run) -> str:
    code, out = run(["systemctl", "show", "--property=Result,ExecMainStartTimestampMonotonic", UNIT])
    fields = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if code or fields.get("ExecMainStartTimestampMonotonic", "0") in ("", "0"):
        return "never"
    result = fields.get("Result", "unknown")
    if result == "success":
        return result
    _, out = run(["journalctl", f"--unit={UNIT}", "--lines=20", "--output=cat", "--no-pager"])
    errors = [line.partition("ERROR:")[2].strip() for line in out.splitlines() if "ERROR:" in line]
    return f"{result}: {shown(errors[-1])}" if errors else result


def _is_served(url: str, path: Path) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE) as answer:
            return answer.headers["Content-Length"] == str(path.stat().st_size) and bool(
                answer.headers["Last-Modified"]
            )
    except (OSError, ValueError):
        return False
