"""`lab-scan`: scan what is named, now, without the network. See the README of the role virus_scan."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import signatures
from .clamd import EngineError
from .engine import Run, at_work
from .files import STATE, read_json, write_json
from .mounts import Mounts
from .names import shown
from .scan import Job, Report, Scan
from .settings import Settings, SettingsError, load
from .walk import Walk

# The modules of this package that it needs: what is installed on a PC.
PARTS = (
    "clamd",
    "command",
    "engine",
    "files",
    "mounts",
    "names",
    "quarantine",
    "scan",
    "settings",
    "signatures",
    "walk",
)
CLEAN, FOUND, UNKNOWN = 0, 1, 2
# The latest moment that the control node told: a PC's clock behind it is wrong, and makes old signatures look new.
CLOCK = f"{STATE}/clock.json"
RESULT = f"{STATE}/result.json"
JOB = f"{STATE}/job.json"

EPILOG = """\
exit code: 0 clean, 1 something was found, 2 nothing can be said (also: signatures too old, a file that could not be
read or only in part). A file is never changed, moved or deleted by this command.

examples:
  lab-scan /run/lab-media/sdb1          a stick, before anybody may use it
  lab-scan --json --limit 600 /home     with the finds as JSON, at most ten minutes
"""


def main(arguments: Sequence[str], run: Run) -> int:
    """The exit code."""
    # Stopped in order, a scan notes how far it came, and the engine that was started for it ends with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(UNKNOWN))
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        return _say("needs root", UNKNOWN)
    if options.job:
        return _scheduled(run)
    return _by_hand(options, run)


def perform(job: Job, settings: Settings, run: Run) -> dict[str, Any]:
    """Do a job: the report, with the engine's and the signatures' versions, and `stale` (why they are not good)."""
    known = signatures.look(settings.wanted, job.now)
    result: dict[str, Any] = {"signatures": known.as_json(), "stale": known.trouble, "engine_version": ""}
    try:
        with at_work(run, settings.stays) as clamd:
            result["engine_version"] = clamd.version()
            walk = Walk(Mounts(), [os.fsencode(pattern) for pattern in job.excluded])
            report = Scan(job, clamd, walk).run()
    except (EngineError, OSError) as error:
        report = Report(job.now, trouble=str(error))
    return {**result, **report.as_json()}


def _scheduled(run: Run) -> int:
    """What the role asked for; its answer goes into a file."""
    fields = read_json(JOB)
    write_json(RESULT, {"nonce": fields.pop("nonce"), **perform(Job(**fields), load(), run)})
    return CLEAN


def _by_hand(options: argparse.Namespace, run: Run) -> int:
    missing = [path for path in options.paths if not os.path.lexists(path)]
    if missing:
        return _say(f"no such file or folder: {shown(missing[0])}", UNKNOWN)
    try:
        settings = load()
    except SettingsError as error:
        return _say(str(error), UNKNOWN)
    now = int(time.time())
    clock = read_json(CLOCK) or {"seen": 0}
    job = Job(
        roots=[str(Path(path).absolute()) for path in options.paths],
        excluded=settings.excluded,
        allowed=settings.allowed,
        largest=settings.largest,
        limit=options.limit,
        resume_age=0,
        now=now,
        quarantine=False,
        resume=False,
    )
    result = perform(job, settings, run)
    if now + signatures.TOLERANCE < clock["seen"]:
        result["stale"] = "the clock of this PC is behind, so the age of its signatures is not known"
    code, said = judge(result)
    if options.json:
        print(json.dumps({"v": 1, "exit": code, "reason": said, **result}))
    else:
        for find in result["found"]:
            print(f"{find['path']}: {find['signature']}")
        print(said)
    return code


def judge(result: dict[str, Any]) -> tuple[int, str]:
    """Exit code and words. What was found counts whatever else went wrong."""
    if result["found"]:
        return FOUND, f"{len(result['found'])} found in {result['files']} files"
    for said in (result["trouble"], result["stale"]):
        if said:
            return UNKNOWN, said
    if not result["complete"]:
        return UNKNOWN, f"the time was up after {result['files']} files"
    for kind, words in (("unreadable", "could not be read"), ("partial", "could not be scanned as a whole")):
        named = result[kind]
        if named["count"]:
            return UNKNOWN, f"{named['count']} of {result['files']} files {words}: {named['some'][0]}"
    if result["foreign"]:
        return UNKNOWN, "a file system that is not scanned is mounted there"
    return CLEAN, f"{result['files']} files are clean"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab-scan",
        description="Scan files and folders for viruses with the signatures on this PC.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("paths", nargs="*", default=[], metavar="PATH", help="a file or a folder")
    what.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=3600, metavar="SECONDS", help="give up after (default 3600)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


def _say(text: str, code: int) -> int:
    print(f"lab-scan: {text}", file=sys.stderr)
    return code
