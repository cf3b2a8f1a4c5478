"""`lab password`: show one PC's local password to a holder, list which are kept and which are due."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.settings import Settings

# So many PCs are named one by one in the next command.
MOST_NAMES = 10


@click.group()
def password() -> None:
    """The PCs' local administrator passwords: each PC its own, readable by its named holders only.

    \b
    Examples:
      lab password list --room a301
      lab password show a301-07 --why "No network, repair at the PC"
      lab change request admin_password --room a301 --why "New passwords"
    """


@password.command()
@click.argument("host")
@click.option("--why", required=True, help="The reason, in one line; it stands in the log.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def show(host: str, why: str, key: Path | None, out: Output) -> None:
    """Show the password of HOST, once it is recorded that you did, and why. It is replaced in the next run.

    It is decrypted with your SSH key by `age`, which asks for the passphrase on the terminal; an agent can't help.

    \b
    Examples:
      lab password show a301-07 --why "No network, repair at the PC"
      lab password show a301-07 --why "Repair" --key ~/.ssh/id_ed25519

    \b
    Exit codes:
      0 shown, and recorded           5 refused: not one of its holders
      2 none is kept                  1 it could not be recorded or decrypted
    """
    from lab_tool.core import password_show
    from lab_tool.core.identity import default_key
    from lab_tool.school.load import load_school

    if not out.is_read_at_once:
        raise UsageError("a password is shown on a terminal only, not written to a file or a pipe; or ask with --json")
    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    shown = password_show.show(settings, school, host, why, key or default_key(os.environ), utc_now)
    if len(shown.passwords) > 1:
        out.note(out.say("password", "unsure"))
    for one in shown.passwords:
        out.line(out.say("password", "shown", account=shown.account, host=shown.host, password=one), bold=True)
    out.note(out.say("password", "recorded", entry=shown.entry))
    out.note(_next(out, [shown.host]))
    out.result("password", asdict(shown))


@password.command(name="list")
@click.option("--room", "rooms", multiple=True, help="A room; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A single host; may be repeated.")
@click.option("--due", is_flag=True, help="Only those that are due to be replaced.")
@output_options
def list_(rooms: tuple[str, ...], hosts: tuple[str, ...], due: bool, out: Output) -> None:
    """List which passwords are kept, who may read each, how old it is, and whether it is due. No PC is asked.

    \b
    Examples:
      lab password list --room a301
      lab password list --due                  every PC of the school whose password is to be replaced
      lab password list --host a301-07 --json
    """
    from lab_tool.core.password_list import password_rows
    from lab_tool.school.load import load_school
    from lab_tool.school.select import select_hosts

    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    chosen = select_hosts(school, rooms or (() if hosts else tuple(school.rooms)), hosts)
    rows = [row for row in password_rows(settings, school, chosen, utc_now()) if row.due or not due]
    out.table(
        [out.say("password", column) for column in ("host", "account", "readers", "age", "due", "last_shown")],
        [
            (
                row.host,
                row.account,
                ", ".join(row.readers),
                str(row.age_days) if row.made else "",
                row.due,
                row.shown[:16].replace("T", " "),
            )
            for row in rows
        ],
    )
    late = [row.host for row in rows if row.due]
    if late:
        out.line(out.say("password", "late", number=len(late)))
        out.line(_next(out, late))
    out.result("passwords", [asdict(row) for row in rows])


def _next(out: Output, hosts: list[str]) -> str:
    named = " ".join(f"--host {host}" for host in hosts[:MOST_NAMES])
    return out.say("password", "next", command=f'lab change request admin_password {named} --why "..."')
