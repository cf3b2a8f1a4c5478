"""`lab log verify`: the verdict, and what it does not cover."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import VerificationError
from lab_tool.log.text import plain
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.log.verify.report import Finding, Note, Progress, Report


@click.command()
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A checkpoint from elsewhere, or a folder or a mail with one; may be repeated.",
)
@click.option("--keys", type=click.Path(path_type=Path), help="Public keys to trust (default: those of site.yml).")
@click.option("--log", "log_path", type=click.Path(path_type=Path), help="A copy of a log (default: the school's).")
@click.option("--origin", default="", help="The log's name, where there is no site.yml.")
@click.option(
    "--max-age", type=click.IntRange(0, 36_500), metavar="DAYS", help="How old the newest may be; 0: any age."
)
@output_options
def verify(
    checkpoints: tuple[Path, ...],
    keys: Path | None,
    log_path: Path | None,
    origin: str,
    max_age: int | None,
    out: Output,
) -> None:
    """Say whether anything in the log was altered, which entry first, and how.

    Compares the log with itself, with the checkpoints beside it, with those of all second places that answer, and
    with those you bring. Only the last two show that an end was cut off, or that all was rewritten by somebody who
    has the key; it says so where they are missing.

    \b
    Examples:
      lab log verify
      lab log verify --checkpoint from-the-principal.txt
      lab log verify --log copy/entries.jsonl --keys allowed_signers --checkpoint newest.txt

    \b
    Exit codes:
      0 nothing contradicts it        4 it does not verify
    """
    from lab_tool.log.verify.judge import verify as judge
    from lab_tool.log.verify.sources import Sources, gather

    settings = Settings.from_environment(os.environ)
    question = gather(Sources(settings, checkpoints, keys, log_path, origin, max_age), utc_now())
    with progress(out) as told:
        report = judge(question, told)
    out.result("log.verification", as_json(report, out))
    render(report, out)
    if not report.verified:
        raise SystemExit(VerificationError.exit_code)


def render(report: Report, out: Output) -> None:
    """The verdict first, then what is wrong, what is covered, and what to know."""
    if report.verified and not report.entries:
        out.line(out.say("log", "empty"))
    elif report.verified:
        out.line(out.say("log", "verified", entries=report.entries, newest=report.newest or "-"), colour="green")
    else:
        out.line(out.say("log", "not_verified"), colour="red", bold=True)
    for finding in report.findings:
        out.line(f"- {say_finding(finding, out)}", colour="red")
    out.line(out.say("log", "root", entries=report.entries, root=report.root))
    for line in cover(report, out):
        out.line(line)
    for note in report.notes:
        out.line(f"- {say_note(note, out)}", colour="yellow")


def cover(report: Report, out: Output) -> Iterator[str]:
    """Up to which entry somebody elsewhere vouches for the log, and what nobody vouches for."""
    if report.cover is None:
        yield out.say("log", "no_cover")
        return
    values = {"size": report.cover.size, "time": report.cover.time, "place": plain(report.cover.place)}
    yield out.say("log", "cover", **values)
    rest = report.entries - report.cover.size
    if rest > 0:
        yield out.say("log", "uncovered", rest=rest, first=report.cover.size)


def say_finding(finding: Finding, out: Output) -> str:
    """`edit: entry 5: ...`: the kind, the first bad entry, what is wrong."""
    values = {key: plain(str(value)) for key, value in finding.values.items()}
    if "why" in values:
        values["why"] = out.say("log", f"why.{values['why']}")
    text = out.say("log", f"finding.{finding.kind}", **values)
    return f"{finding.kind}: {entries(finding, out)}{text}"


def entries(finding: Finding, out: Output) -> str:
    """`entry 5: ` or `entries 5 to 9: `; nothing where none is meant."""
    if finding.first is None or finding.last is None:
        return ""
    key = "one_entry" if finding.first >= finding.last else "entry_range"
    return out.say("log", key, first=finding.first, last=finding.last)


def say_note(note: Note, out: Output) -> str:
    """A note in words."""
    return out.say("log", f"note.{note.kind}", **{key: plain(str(value)) for key, value in note.values.items()})


def as_json(report: Report, out: Output) -> dict[str, Any]:
    """The report for `--json`."""
    return {
        "verified": report.verified,
        "entries": report.entries,
        "root": report.root,
        "newest": report.newest,
        "checkpoints": report.checkpoints,
        "cover": (
            {"size": report.cover.size, "time": report.cover.time, "place": report.cover.place}
            if report.cover
            else None
        ),
        "findings": [
            {
                "kind": finding.kind,
                "first": finding.first,
                "last": finding.last,
                "text": say_finding(finding, out),
                **finding.values,
            }
            for finding in report.findings
        ],
        "notes": [{"kind": note.kind, "text": say_note(note, out), **note.values} for note in report.notes],
    }


@contextmanager
def progress(out: Output) -> Iterator[Progress]:
    """A line that counts up on a terminal's standard error; elsewhere nothing."""
    if out.json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    shown = [-1]

    def tell(done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        if percent != shown[0]:
            shown[0] = percent
            click.echo(f"\r{out.say('log', 'verifying', percent=percent)}\x1b[K", err=True, nl=False)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)
