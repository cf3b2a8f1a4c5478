"""`lab restore`: ask for files of a backup."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lab_tool.cli import change_view
from lab_tool.cli.output import Output, output_options
from lab_tool.clock import utc_now
from lab_tool.errors import UsageError
from lab_tool.settings import Settings

VERB = "backup_restore"


@click.command()
@click.argument("host")
@click.argument("path")
@click.option("--to", required=True, metavar="DIR", help="The new folder on HOST that it is brought back into.")
@click.option("--why", required=True, help="The reason, in one line.")
@click.option("--snapshot", default="latest", show_default=True, help="The snapshot's id.")
@click.option("--from", "place", default="", metavar="NAME", help="The repository (default: the first that has it).")
@click.option("--of", "owner", default="", metavar="HOST", help="Another machine's backup, such as one that burnt.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519).")
@output_options
def restore(
    host: str, path: str, to: str, why: str, snapshot: str, place: str, owner: str, key: Path | None, out: Output
) -> None:
    """Ask for PATH to be brought back from HOST's backup into a new folder; somebody else has to approve.

    \b
    Examples:
      lab restore b101-01 /home/wang --to /srv/restored --why "Deleted by mistake"
      lab restore b101-01 /etc --to /root/etc-then --snapshot 1a2b3c4d --from off_site --why "Before the update"
      lab restore b101-02 / --to /srv/old --of b101-01 --why "b101-01 broke down"
    """
    from lab_tool.core import change as core
    from lab_tool.core.identity import default_key
    from lab_tool.school.load import load_school

    for name, value in (("PATH", path), ("--to", to)):
        if not value.startswith("/") or (value.strip("/") == "" and name == "--to"):
            raise UsageError(f"{name} has to be a whole path, not {value!r}", next_command="lab restore --help")
    settings = Settings.from_environment(os.environ)
    school = load_school(settings.inventory)
    asked = {"path": path, "to": to, "snapshot": snapshot, "from": place, "of": owner}
    overrides = tuple(f"backup_restore_{name}={value}" for name, value in asked.items() if value)
    wish = core.Wish(VERB, (), (host,), why, overrides=overrides)
    state = core.request(settings, school, wish, key or default_key(os.environ), utc_now)
    out.line(out.say("restore", "asked", path=path, host=host, to=to), bold=True)
    change_view.requested(school, state, utc_now(), out)
