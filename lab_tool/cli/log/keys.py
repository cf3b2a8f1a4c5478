"""`lab log keys`, `init`, `rotate-key`, `key-lost`: the key that signs checkpoints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from lab_tool.cli.log.common import account
from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.log.rotation import Rotated


@click.command()
@output_options
def keys(out: Output) -> None:
    """Print the public keys to trust, as OpenSSH's allowed signers: what an auditor needs, but not from here alone.

    \b
    Examples:
      lab log keys > allowed_signers
    """
    from lab_tool.log.keys import allowed_signers, trusted_keys
    from lab_tool.log.note import NAMESPACE
    from lab_tool.school.load import load_log_policy

    settings = Settings.from_environment(os.environ)
    trusted = trusted_keys(settings, load_log_policy(settings.inventory))
    text = allowed_signers(trusted.keys, NAMESPACE)
    out.line(text.rstrip("\n"))
    if not trusted.pinned:
        out.note(out.say("log", "note.keys_unpinned"))
    out.result("log.keys", {"allowed_signers": text, "pinned": trusted.pinned})


@click.command()
@output_options
def init(out: Output) -> None:
    """Begin the log: make the key that signs checkpoints and the first entry, and say what to put into site.yml.

    Without it the first run begins the log; but then nobody but this machine says which key is the right one.

    \b
    Examples:
      lab log init
    """
    from lab_tool.log.rotation import begin
    from lab_tool.school.load import load_log_policy

    settings = Settings.from_environment(os.environ)
    policy = load_log_policy(settings.inventory)
    now = utc_now()
    line = begin(settings, policy, actor=account(), clock=utc_now)
    out.line(out.say("log", "begun", origin=policy.origin))
    out.line(out.say("log", "put_into_site"), bold=True)
    out.line(f'  keys:\n    - {{key: "{line}", first_day: {now:%Y-%m-%d}}}')
    out.result("log.init", {"origin": policy.origin, "key": line, "first_day": f"{now:%Y-%m-%d}"})


@click.command("rotate-key")
@click.option("--why", required=True, help="Why; it is recorded.")
@output_options
def rotate_key(why: str, out: Output) -> None:
    """Replace the key that signs checkpoints, while the old one is still there to vouch for the new one.

    The old private key is destroyed; its public half stays, and old checkpoints stay valid.

    \b
    Examples:
      lab log rotate-key --why "Yearly change, September 2026"
    """
    from lab_tool.log.rotation import rotate
    from lab_tool.school.load import load_log_policy

    settings = Settings.from_environment(os.environ)
    policy = load_log_policy(settings.inventory)
    _tell(rotate(settings, policy, actor=account(), why=why, clock=utc_now), out)


@click.command("key-lost")
@click.option("--why", required=True, help="What happened to the old key; it is recorded.")
@output_options
def key_lost(why: str, out: Output) -> None:
    """Replace a key that is lost, or that somebody else may have: nothing but site.yml vouches for the new one.

    If it may have been stolen, set the old key's last_day to the last day you trust it, and compare with checkpoints
    from elsewhere (lab log verify) before you go on.

    \b
    Examples:
      lab log key-lost --why "Disk of the control node died on 3 November"
    """
    from lab_tool.log.rotation import replace_lost
    from lab_tool.school.load import load_log_policy

    settings = Settings.from_environment(os.environ)
    policy = load_log_policy(settings.inventory)
    _tell(replace_lost(settings, policy, actor=account(), why=why, clock=utc_now), out)


def _tell(rotated: Rotated, out: Output) -> None:
    from lab_tool.cli.log.checkpoint import as_json, render

    today = f"{utc_now():%Y-%m-%d}"
    for published in rotated.published:
        render(published, out)
    out.line(out.say("log", "put_into_site"), bold=True)
    old = f'    - {{key: "{rotated.old}", last_day: {today}}}\n' if rotated.old else ""
    out.line(f'  keys:\n{old}    - {{key: "{rotated.new}", first_day: {today}}}')
    out.line(out.say("log", "then_checkpoint"))
    checkpoints = [as_json(each) for each in rotated.published]
    out.result("log.key", {"old": rotated.old, "new": rotated.new, "day": today, "checkpoints": checkpoints})
