"""`lab log witness`: hold somebody else's log to what it said."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now


@click.command()
@click.option("--store", type=click.Path(path_type=Path), required=True, help="The folder that keeps checkpoints.")
@click.option("--keys", type=click.Path(path_type=Path), required=True, help="Public keys whose checkpoints count.")
@output_options
def witness(store: Path, keys: Path, out: Output) -> None:
    """Take one request on standard input: a checkpoint that must extend the last one, or the question for the last.

    Meant as the forced command of an SSH key on another person's machine, in ~/.ssh/authorized_keys:

    \b
      restrict,command="lab log witness --store /srv/witness --keys /srv/witness/signers" ssh-ed25519 AAAA...

    \b
    Examples:
      lab log witness --store /srv/witness --keys /srv/witness/signers < request

    \b
    Exit codes:
      0 accepted, or answered         5 refused: it does not extend the last one, or is not signed by a trusted key
    """
    from lab_tool.log.keys import read_keys
    from lab_tool.log.witness import LONGEST_REQUEST, Witness

    request = sys.stdin.buffer.read(LONGEST_REQUEST + 1)
    answer = Witness(store, read_keys(keys), utc_now()).answer(request).decode()
    out.line(answer.rstrip("\n"))
    out.result("log.witness", {"answer": answer})
