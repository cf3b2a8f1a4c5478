"""`lab log export`: entries for other programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lab_tool.cli.log.common import outside_the_log, query_options
from lab_tool.cli.output import Output, output_options
from lab_tool.log.query import Query, iterate, iterate_lines
from lab_tool.settings import Settings


@click.command()
@output_options
@query_options
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file (default: to the screen).")
def export(query: Query, form: str, output: Path | None, out: Output) -> None:
    """Write entries as CSV for a spreadsheet, or as JSON lines: the very lines of the log.

    In CSV a cell that a spreadsheet would take for a formula stands behind an apostrophe.

    \b
    Examples:
      lab log export --since 2026-09-01 -o term.csv
      lab log export --format json -o entries.jsonl
      lab log export --format json --kind 'change.*'
    """
    settings = Settings.from_environment(os.environ)
    rows = _rows(settings, query, form)
    if output is None:
        sys.stdout.buffer.writelines(rows)
        return
    written = 0
    with outside_the_log(settings, output).open("wb") as file:
        for data in rows:
            file.write(data)
            written += 1
    out.line(out.say("log", "exported", number=written, file=output))
    out.result("log.export", {"lines": written, "file": str(output)})


def _rows(settings: Settings, query: Query, form: str) -> Iterator[bytes]:
    if form == "json":
        return (line + b"\n" for _, line in iterate_lines(settings.log, query))
    from lab_tool.log.export import csv_text

    return (text.encode("utf-8", "backslashreplace") for text in csv_text(iterate(settings.log, query)))
