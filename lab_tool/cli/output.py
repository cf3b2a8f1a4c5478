"""The one module that touches the terminal."""

from __future__ import annotations

import json
import locale
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

import click

from lab_tool.errors import LabError, RefusedError
from lab_tool.log.text import plain
from lab_tool.words import Language, say

SCHEMA = 1
# Set in the environment, errors are shown as Python shows them.
DEBUG = "LAB_DEBUG"


@dataclass(frozen=True, slots=True)
class Output:
    """How this command answers: text in one of two languages, or one JSON object on standard output."""

    json: bool
    language: Language

    @property
    def is_read_at_once(self) -> bool:
        """Whether the answer goes to somebody who asked for it now: a terminal, or a program that wants JSON."""
        return self.json or sys.stdout.isatty()

    def result(self, kind: str, data: Any) -> None:
        """Print the one versioned object that `--json` promises; nothing without `--json`."""
        if self.json:
            document = {"schema": SCHEMA, "kind": kind, "data": data}
            click.echo(_visible(json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)))

    def line(self, text: str = "", *, colour: str = "", bold: bool = False) -> None:
        """One line for people (none with `--json`), coloured only on a terminal."""
        if not self.json:
            click.secho(text, fg=colour or None, bold=bold or None)

    def note(self, text: str) -> None:
        """A diagnostic on standard error, with or without `--json`."""
        click.echo(text, err=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows under headings, aligned also where text is Chinese (none with `--json`)."""
        if self.json:
            return
        # Here, so that the start-up of every other command does not pay for it.
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            # Reasons and findings are a PC's own words: nothing in them clears the screen or hides a row.
            table.add_row(*(plain(cell, keep="\n") for cell in row))
        # Into a pipe or a file nothing is cut off.
        width = None if sys.stdout.isatty() else 10_000
        Console(width=width, markup=False, highlight=False, emoji=False).print(table)

    def say(self, area: str, key: str, /, **values: object) -> str:
        """Words from `lab_tool/words/<area>.yml` in this command's language."""
        return say(self.language, area, key, **values)


def _visible(text: str) -> str:
    """JSON in which what a terminal obeys, or no encoding holds, is escaped: it means the same."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def report_error(error: LabError, *, as_json: bool, language: Language) -> None:
    """An error on standard error: what, where, and the next command; with `--json` an object on standard output too."""
    label = say(language, "common", "refused" if isinstance(error, RefusedError) else "error")
    where = f"{error.where}: " if error.where else ""
    click.secho(f"{label}: {where}{error.what}", fg="red", err=True)
    if error.next_command:
        click.echo(f"{say(language, 'common', 'run_next')}: {error.next_command}", err=True)
    if as_json:
        fields = {"what": error.what, "where": error.where, "next": error.next_command, "exit_code": error.exit_code}
        Output(True, language).result("error", fields)


def default_language(environment: Mapping[str, str]) -> Language:
    """Chinese where the user's locale is Chinese, else English; `LAB_LANG` decides before it."""
    chosen = environment.get("LAB_LANG") or environment.get("LC_ALL") or environment.get("LANG") or ""
    return "zh" if (chosen or locale.getlocale()[0] or "").startswith("zh") else "en"


def as_lab_error(error: Exception) -> LabError:
    """What a user is told of any error: what this tool did not foresee, too, is one line and not a traceback."""
    if isinstance(error, LabError):
        return error
    if isinstance(error, OSError):
        return LabError(error.strerror or str(error), where=str(error.filename or ""))
    return LabError(f"a fault of this tool, {type(error).__name__}: {error}", next_command=f"{DEBUG}=1 lab ...")


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json` and `--lang`, and pass it `out`, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    @click.option("--lang", type=click.Choice(["zh", "en"]), help="Language of the answer (default: LAB_LANG, locale).")
    @wraps(command)
    def with_output(*args: Any, as_json: bool, lang: str | None, **kwargs: Any) -> Any:
        language = cast(Language, lang) if lang else default_language(os.environ)
        try:
            return command(*args, out=Output(as_json, language), **kwargs)
        except (click.ClickException, BrokenPipeError):
            # Click knows what to do with both.
            raise
        except Exception as error:
            if DEBUG in os.environ:
                raise
            told = as_lab_error(error)
            report_error(told, as_json=as_json, language=language)
            raise SystemExit(told.exit_code) from error

    return with_output
