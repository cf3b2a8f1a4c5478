"""Fetching signatures from the school's mirror with freshclam."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from .signatures import FOLDER

Run = Callable[["list[str]"], "tuple[int, str]"]
PATIENCE = 15.0
# Everything that clamd would load if it lay there (libclamav's own list).
_ENDINGS = (
    ".cat .cbc .cdb .cfg .crb .crt .cud .cld .cvd .fp .ftm .gdb .hdb .hdu .hsb .hsu .idb .ign .ign2 .imp .info "
    ".ioc .ldb .ldu .mdb .mdu .msb .msu .ndb .ndu .pdb .pwdb .sdb .sfp .wdb .yar .yara .zmd .rmd"
)
ENDINGS = frozenset(_ENDINGS.split())
_ERROR = re.compile(r"^(?:\^|!)?ERROR: (.+)$", re.MULTILINE)


def fetch(run: Run, mirror: str, official: Sequence[str], extra: Sequence[str], folder: str = FOLDER) -> str:
    """Fetch what freshclam's configuration names. What went wrong, or empty."""
    before = {name: _modified(Path(folder, name)) for name in extra}
    only = [] if official else ["--update-db=custom"]
    code, out = run(["freshclam", "--stdout", "--no-warnings", *only])
    troubles = []
    if code:
        # The first error names the cause, the rest its consequences.
        found = _ERROR.search(out)
        troubles.append(found[1].strip()[:200] if found else f"freshclam ended with {code}")
    for name in extra:
        if code and before[name] == _modified(Path(folder, name)):
            # What is here may not be what lies on the mirror now.
            continue
        trouble = _date(f"{mirror.rstrip('/')}/{name}", Path(folder, name))
        if trouble and not troubles:
            troubles.append(trouble)
    return troubles[0] if troubles else ""


def discard(official: Sequence[str], extra: Sequence[str], folder: str = FOLDER) -> None:
    """Remove what clamd would load and nobody wants any more."""
    wanted = {*extra, *(name + end for name in official for end in (".cvd", ".cld"))}
    for path in Path(folder).iterdir():
        if path.suffix in ENDINGS and path.name not in wanted:
            path.unlink()


def _date(url: str, path: Path) -> str:
    """Give a file the date it has on the mirror; freshclam leaves it that of its download."""
    if not path.is_file():
        return f"{path.name} could not be fetched"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE) as answer:
            length, date = answer.headers["Content-Length"], answer.headers["Last-Modified"]
    except (OSError, ValueError) as error:
        return f"{path.name}: {error}"[:200]
    # Undated, or another file by now: no proof of freshness.
    known = date and length == str(path.stat().st_size)
    seconds = int(parsedate_to_datetime(date).timestamp()) if known else 0
    if seconds != int(path.stat().st_mtime):
        os.utime(path, (seconds, seconds))
    return "" if known else f"the mirror does not say how old {path.name} is"


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0
