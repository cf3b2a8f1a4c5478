"""`lab log show`: one line an entry."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from lab_tool.cli.log.common import query_options
from lab_tool.cli.output import Output, output_options
from lab_tool.core.outcome import OUTCOMES
from lab_tool.log.entry import Entry
from lab_tool.log.query import Query, find, scan
from lab_tool.log.text import plain
from lab_tool.settings import Settings

# So many are shown when nothing is asked for.
NEWEST = 100
# The fields of a body that tell most, in this order, and the parts of a body they may stand in.
TELLING = ("verb", "task", "ref", "ring", "why", "reason", "playbook", "emergency", "size", "file")
PARTS = ("change", "intent", "plan")
MOST_HOSTS = 3


@click.command()
@output_options
@query_options
@click.option("--no-index", is_flag=True, help="Read the whole log instead of trusting the index.")
def show(query: Query, no_index: bool, out: Output) -> None:
    """Show entries, oldest first. Without a filter the newest 100.

    Times are those of this machine's time zone; `--json` has them in UTC, as they are stored.

    \b
    Examples:
      lab log show --host a301-07
      lab log show --room a301 --since 2026-11-01 --until 2026-11-30
      lab log show --kind 'change.*' --person wang-fang
      lab log show --run r-20261124T102030-1f2e --json
    """
    settings = Settings.from_environment(os.environ)
    if query == Query():
        query = Query(last=NEWEST)
    entries = (scan if no_index else find)(settings.log, query)
    out.result("log.entries", [as_json(entry) for entry in entries])
    out.line("\n".join(render(entry, out) for entry in entries) if entries else out.say("log", "no_entries"))


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry for `--json`, under the names the log uses, and its leaf hash."""
    return {
        "seq": entry.seq,
        "time": entry.time,
        "actor": entry.actor,
        "kind": entry.kind,
        "subject": entry.subject.as_json(),
        "body": entry.body,
        "prev": entry.prev,
        "hash": entry.hash,
    }


def render(entry: Entry, out: Output) -> str:
    """`1204  2026-11-24 18:20:30  li-na  changed  a301-07  Linux | Upgrade`."""
    label = out.say("log", f"kind.{entry.kind}")
    words = label if label != f"kind.{entry.kind}" else entry.kind
    parts = [str(entry.seq), local(entry.time), entry.actor, words, about(entry), detail(entry, out)]
    return plain("  ".join(part for part in parts if part))


def local(time: str) -> str:
    """A time of the log on this machine's clock, to the second; what is no time stays as it is."""
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return time
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def about(entry: Entry) -> str:
    """The hosts, or the rooms, or the change."""
    subject = entry.subject
    if 0 < len(subject.hosts) <= MOST_HOSTS:
        return " ".join(subject.hosts)
    if subject.rooms:
        count = f" ({len(subject.hosts)})" if subject.hosts else ""
        return " ".join(subject.rooms) + count
    return " ".join(subject.hosts[:MOST_HOSTS]) or subject.change or subject.run


def detail(entry: Entry, out: Output) -> str:
    """What the body says, as far as it fits into a line."""
    body = entry.body
    if isinstance(body.get("outcomes"), Mapping):
        return counts((_outcome(value) for value in body["outcomes"].values()), out)
    evidence = body.get("evidence")
    if isinstance(evidence, Mapping):
        return " ".join(str(evidence[key]) for key in ("verb", "outcome", "reason") if evidence.get(key))
    if isinstance(body.get("results"), Mapping):
        results = body["results"]
        numbers = [f"{key} {len(results[key])}" for key in sorted(results) if isinstance(results[key], list)]
        return "  ".join([str(body.get("task", "")), ", ".join(numbers)])
    told: dict[str, Any] = {}
    for part in (body, *(body.get(key) for key in PARTS)):
        if isinstance(part, Mapping):
            told = {**{key: part[key] for key in TELLING if isinstance(part.get(key), str | int)}, **told}
    return "  ".join(str(told[key]) for key in TELLING if told.get(key) and told[key] is not True)


def counts(outcomes: Iterable[str], out: Output) -> str:
    """`changed 38, unreachable 2`."""
    told = sorted(Counter(outcomes).items())
    return ", ".join(f"{out.say('run', name) if name in OUTCOMES else name} {number}" for name, number in told)


def _outcome(value: Any) -> str:
    return str(value.get("outcome", "?")) if isinstance(value, Mapping) else str(value)
