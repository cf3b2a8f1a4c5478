"""`lab log prove` and `lab log check-proof`: one entry, for somebody who may see no other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from lab_tool.cli.log.common import outside_the_log
from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.log.text import plain
from lab_tool.settings import Settings


@click.command()
@click.argument("seq", type=click.IntRange(min=0))
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Against this one (default: the newest here).")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the proof here (default: to the screen).")
@output_options
def prove(seq: int, checkpoint: Path | None, output: Path | None, out: Output) -> None:
    """Prove entry SEQ: its text, a signed checkpoint, and the hashes that lead from the one to the other.

    \b
    Examples:
      lab log prove 1204 -o proof.json
      lab log prove 1204 --checkpoint received.txt -o proof.json
    """
    from lab_tool.log.note import parse
    from lab_tool.log.proof import prove as make_proof

    settings = Settings.from_environment(os.environ)
    against = None
    if checkpoint:
        try:
            against = parse(checkpoint.read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"not a checkpoint: {error}", where=str(checkpoint)) from error
    document = make_proof(settings.log, seq, against)
    text = json.dumps(document, indent=1) + "\n"
    if output:
        outside_the_log(settings, output).write_text(text, encoding="ascii")
        out.line(out.say("log", "proof_written", seq=seq, file=output))
    else:
        out.line(text.rstrip("\n"))
    out.result("log.proof", document)


@click.command("check-proof")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keys", type=click.Path(path_type=Path), help="Public keys to trust (default: those of site.yml).")
@output_options
def check_proof(file: Path, keys: Path | None, out: Output) -> None:
    """Check the proof of one entry. Needs neither the log nor this control node.

    \b
    Examples:
      lab log check-proof proof.json --keys allowed_signers
    """
    from lab_tool.cli.log.show import as_json, render
    from lab_tool.log.keys import read_keys, trusted_keys
    from lab_tool.log.proof import check_proof as check
    from lab_tool.log.proof import read_proof

    if keys:
        trusted = read_keys(keys)
    else:
        from lab_tool.school.load import load_log_policy

        settings = Settings.from_environment(os.environ)
        trusted = trusted_keys(settings, load_log_policy(settings.inventory)).keys
    proved = check(read_proof(file), trusted, utc_now())
    checkpoint = proved.checkpoint
    out.line(render(proved.entry, out))
    values = {"origin": plain(checkpoint.origin), "size": checkpoint.size, "time": checkpoint.time or "-"}
    out.line(out.say("log", "proved", seq=proved.entry.seq, **values), colour="green")
    out.result("log.proved", {"entry": as_json(proved.entry), **values})
