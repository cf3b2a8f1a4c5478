"""`lab image promote`, `rollback`, `gc`: who gets which version, and which ones can go."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from lab_tool.cli.image_common import SHORT_ID, desk, key_option, size
from lab_tool.cli.output import Output, output_options

if TYPE_CHECKING:
    from lab_tool.imaging.store.promote import Promoted
    from lab_tool.imaging.store.retire import Removal
    from lab_tool.imaging.store.rings import Ring

RING = click.Choice(["canary", "all"])


@click.command()
@click.argument("ref", metavar="NAME/VERSION")
@click.option("--ring", required=True, type=RING, help="Whose PCs get it: the canaries, or all.")
@click.option("--why", required=True, help="The reason, in one line; it stands in the log.")
@click.option("--without-canary", default="", metavar="REASON", help="To all, though no canary was imaged with it.")
@key_option
@output_options
def promote(ref: str, ring: str, why: str, without_canary: str, key: Path | None, out: Output) -> None:
    """Give a version to a ring: the inventory says so from now on, and no PC is touched.

    To all it can go once a canary was imaged with it and said so itself, and by somebody who did not make it.

    \b
    Examples:
      lab image promote debian-lab/3 --ring canary --why "Patches of November"
      lab image promote debian-lab/3 --ring all --why "Works on the canaries"
      lab image promote debian-lab/3 --ring all --why "Exam tomorrow" --without-canary "All canaries are in repair"

    \b
    Exit codes:
      0 promoted, and recorded        5 refused: not entitled, one's own, not tried, or signed by nobody
    """
    from lab_tool.imaging.store import promote as core

    done = core.promote(desk(key), ref, cast("Ring", ring), why, without_canary)
    _tell(done, out)


@click.command()
@click.argument("name")
@click.option("--ring", required=True, type=RING, help="Whose PCs get it: the canaries, or all.")
@click.option("--why", required=True, help="The reason, in one line; it stands in the log.")
@key_option
@output_options
def rollback(name: str, ring: str, why: str, key: Path | None, out: Output) -> None:
    """Give a ring the version of NAME that it had before. Done again, it goes back further.

    \b
    Examples:
      lab image rollback debian-lab --ring all --why "The printer is gone"
      lab image rollback debian-lab --ring canary --why "Does not start on the new PCs"
    """
    from lab_tool.imaging.store import promote as core

    _tell(core.rollback(desk(key), name, cast("Ring", ring), why), out)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@key_option
@output_options
def gc(dry_run: bool, key: Path | None, out: Output) -> None:
    """Remove versions that neither the inventory nor the log names, and what only they needed.

    The last version of each name stays, and whatever a change, a promotion or a PC ever named.

    \b
    Examples:
      lab image gc --dry-run
      lab image gc --json
    """
    from lab_tool.imaging.store.retire import plan_removal, remove

    here = desk(key)
    removal = plan_removal(here.settings) if dry_run else remove(here)
    _tell_removal(removal, dry_run, out)


def _tell(done: Promoted, out: Output) -> None:
    ring = out.say("image", f"ring_{done.ring}")
    word = "already" if done.entry is None else "returned" if done.rollback else "promoted"
    out.line(out.say("image", word, ref=done.ref, id=done.image[:SHORT_ID], ring=ring), bold=True)
    if done.previous and done.previous != done.image:
        out.line(out.say("image", "before", id=done.previous[:SHORT_ID]))
    if done.canaries:
        out.line(out.say("image", "tried", hosts=", ".join(done.canaries)))
    if done.entry is not None:
        out.note(out.say("image", "recorded", entry=done.entry))
    for move in done.moved:
        out.note(out.say("image", "moved", move=move))
    out.note(out.say("image", "next", command='lab change request image --room ROOM --why "..."'))
    out.result("image.promoted", asdict(done))


def _tell_removal(removal: Removal, dry_run: bool, out: Output) -> None:
    for one in removal.images:
        out.line(f"{one.ref}  {one.id[:SHORT_ID]}")
    word = "would_remove" if dry_run else "removed"
    out.line(
        out.say("image", word, images=len(removal.images), files=len(removal.files), size=size(removal.bytes)),
        bold=True,
    )
    if removal.entry is not None:
        out.note(out.say("image", "recorded", entry=removal.entry))
    out.result(
        "image.removal",
        {
            "dry_run": dry_run,
            "images": {one.id: one.ref for one in removal.images},
            "files": list(removal.files),
            "bytes": removal.bytes,
            "kept": dict(removal.kept),
            "entry": removal.entry,
        },
    )
