"""`lab run`: an approved change, a prepared procedure, an emergency, or the rest of an earlier run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.cli.progress import COLOURS, ProgressView
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.settings import Settings

INTERRUPTED = 130


@click.command()
@click.argument("target", metavar="CHANGE|VERB", required=False)
@click.option("--room", "rooms", multiple=True, help="With a verb: the room, may be repeated.")
@click.option("--host", "hosts", multiple=True, help="With a verb: a single host, may be repeated.")
@click.option("--emergency", metavar="REASON", help="Without approval, for those entitled; to be approved afterwards.")
@click.option("--resume", metavar="RUN", help="Do what an earlier run left undone, and only that.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def run(
    target: str | None,
    rooms: tuple[str, ...],
    hosts: tuple[str, ...],
    emergency: str | None,
    resume: str | None,
    key: Path | None,
    out: Output,
) -> None:
    """Run an approved change on exactly the approved hosts, and record it.

    \b
    Examples:
      lab run c-1f2e3d4c5b                          an approved change
      lab run patch --room a301                     a prepared procedure (standing approval)
      lab run patch --host a301-07 --emergency "Exam in an hour, PC infected"
      lab run --resume r-20261124T102030-1f2e       only the hosts that were not done

    Exit codes: 0 every host well, 3 some host failed, unreachable or missing, 5 refused, 1 the tool itself failed.
    """
    from lab_tool.core import orders
    from lab_tool.core.identity import default_key
    from lab_tool.core.run import execute
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    order = orders.make_order(
        settings,
        school,
        orders.Wish(target or "", rooms, hosts, emergency or "", resume or ""),
        key or default_key(os.environ),
        utc_now,
    )
    announce(out, order)
    with ProgressView({host.name: host.room for host in order.hosts}, out.language) as view, signals_interrupt():
        result = execute(settings, school, order, view, utc_now)
    render(out, result)
    raise SystemExit(exit_code(result))
