"""What several commands of `lab log` need: filters, files to write to, and who types."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lab_tool.errors import UsageError
from lab_tool.log.dates import instant
from lab_tool.log.query import Query
from lab_tool.settings import Settings

FILTERS = (
    click.option("--since", metavar="TIME", default="", help="From this day or RFC 3339 time on."),
    click.option("--until", metavar="TIME", default="", help="Up to and including this day, or before this time."),
    click.option("--room", metavar="ROOM", default="", help="About this room."),
    click.option("--host", metavar="HOST", default="", help="About this PC."),
    click.option("--person", metavar="ID", default="", help="By this person, or naming them."),
    click.option("--rule", metavar="ID", default="", help="About this rule, such as B2."),
    click.option("--change", metavar="ID", default="", help="About this change."),
    click.option("--run", metavar="ID", default="", help="Of this run."),
    click.option("--kind", "kinds", metavar="KIND", multiple=True, help="Of this kind, or family: change.*"),
    click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the newest N."),
)


def query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters, and pass it `query`, a `Query`."""

    @wraps(command)
    def with_query(*args: Any, since: str, until: str, kinds: tuple[str, ...], last: int | None, **kwargs: Any) -> Any:
        fields = {name: kwargs.pop(name) for name in ("room", "host", "person", "rule", "change", "run")}
        query = Query(kinds=kinds, since=moment(since), until=moment(until, end=True), last=last, **fields)
        return command(*args, query=query, **kwargs)

    decorated: Callable[..., Any] = with_query
    for option in reversed(FILTERS):
        decorated = option(decorated)
    return decorated


def moment(text: str, *, end: bool = False) -> str:
    """A time as typed, as the log writes it; empty stays empty. Raises `UsageError`."""
    if not text:
        return ""
    try:
        return instant(text, end=end)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"not a day (2026-11-24) or a time (2026-11-24T08:00:00+08:00): {text}") from error


def account() -> str:
    """The account of the operating system, as an actor who proved nothing else."""
    return f"os:{getpass.getuser()}"


def outside_the_log(settings: Settings, path: Path) -> Path:
    """`path`, to be written to. Raises `UsageError` when that would write over the log."""
    if path.resolve().is_relative_to(settings.log.resolve()):
        raise UsageError("lies in the log's own folder, where nothing is written over", where=str(path))
    return path
