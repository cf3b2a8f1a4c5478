"""`lab image build`, `import`, `capture`: a new version, from a recipe, a disk or a PC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.image_common import as_json, bytes_done, desk, key_option, size
from lab_tool.cli.output import Output, output_options
from lab_tool.errors import UsageError
from lab_tool.log.text import plain

if TYPE_CHECKING:
    from lab_tool.core.orders import Desk
    from lab_tool.imaging.store.adding import Added
    from lab_tool.imaging.store.draft import Draft
    from lab_tool.imaging.store.store import Store
    from lab_tool.school.model import Host


def _ancestry(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every new version is asked."""
    options = (
        click.option("--changes", required=True, help="What is new in this version, in one line."),
        click.option("--parent", default="", metavar="IMAGE", help="What it comes from (default: the last version)."),
        click.option("--fresh", is_flag=True, help="It comes from no other version."),
    )
    for option in options:
        command = option(command)
    return command


@click.command()
@click.argument("recipe")
@_ancestry
@key_option
@output_options
def build(recipe: str, changes: str, parent: str, fresh: bool, key: Path | None, out: Output) -> None:
    """Build the image that RECIPE describes (inventory/images) and make it the next version.

    On the file system of the last version, so that what did not change takes no room and no PC fetches it again; the
    content is the recipe's all the same.

    \b
    Examples:
      lab image build debian-lab --changes "Patches of November"
      lab image build debian-lab --changes "Made anew" --fresh
      lab image build exam-lab --changes "For the exam" --parent debian-lab/3

    \b
    Exit codes:
      0 built, signed and recorded    5 refused: not entitled         1 it could not be built, and there is no version
    """
    from lab_tool.imaging.build import api

    here, store = _begin(key)
    with api.build(
        here.settings,
        store,
        recipe,
        parent=_parent(store, recipe.replace("_", "-"), parent, fresh),
        changes=_line(changes),
        progress=_phases(out),
    ) as draft:
        _finish(here, draft, out)


@click.command(name="import")
@click.argument("disk", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="The image's name, such as windows-lab.")
@click.option("--title", default="", help="What people call it.")
@_ancestry
@key_option
@output_options
def import_(
    disk: Path, name: str, title: str, changes: str, parent: str, fresh: bool, key: Path | None, out: Output
) -> None:
    """Make an image of a whole DISK: a device, a raw file or a qcow2. It is only read.

    \b
    Examples:
      lab image import reference.qcow2 --name windows-lab --changes "Reference PC of November"
      lab image import /dev/sdb --name debian-lab --changes "From the old lab" --fresh
    """
    from lab_tool.imaging.build import api

    here, store = _begin(key)
    with api.import_disk(
        here.settings,
        disk,
        name,
        title=title,
        changes=_line(changes),
        parent=_parent(store, name, parent, fresh),
        progress=_phases(out),
    ) as draft:
        _finish(here, draft, out)


@click.command()
@click.argument("host")
@click.option("--name", required=True, help="The image's name, such as debian-lab.")
@click.option("--title", default="", help="What people call it.")
@_ancestry
@key_option
@output_options
def capture(
    host: str, name: str, title: str, changes: str, parent: str, fresh: bool, key: Path | None, out: Output
) -> None:
    """Make an image of what HOST sent when it was captured last. HOST itself is not asked.

    To read its disk is a change of the machine: the verb image_capture, approved and run like any other.

    \b
    Examples:
      lab change request image_capture --host a301-01 --why "Reference PC of November"
      lab image capture a301-01 --name debian-lab --changes "With the new geometry program"
    """
    from lab_tool.imaging.orders.capture import captured
    from lab_tool.imaging.store.record import MAKERS, require_may
    from lab_tool.school.select import select_hosts

    here, store = _begin(key)
    (seat,) = select_hosts(here.school, (), (host,))
    require_may(here, MAKERS, [seat.room])
    came_from = _parent(store, name, parent, fresh)
    line, tell = _line(changes), _phases(out)
    with captured(here.settings, seat.name, name, title=title, changes=line, parent=came_from, progress=tell) as draft:
        _finish(here, draft, out, seat)


def _begin(key: Path | None) -> tuple[Desk, Store]:
    """Who may not is told now, and not after an hour."""
    from lab_tool.imaging.store.record import MAKERS, require_may
    from lab_tool.imaging.store.store import Store

    here = desk(key)
    require_may(here, MAKERS)
    return here, Store(here.settings.images)


def _line(changes: str) -> str:
    from lab_tool.core.plain_text import reason

    return reason(changes, "--changes")


def _parent(store: Store, name: str, parent: str, fresh: bool) -> str:
    """The id of the version that the new one comes from, or nothing."""
    if fresh:
        if parent:
            raise UsageError("--fresh comes from no other version: leave --parent out")
        return ""
    if parent:
        return store.find(parent).id
    return next((one.id for one in reversed(store.images()) if one.manifest.name == name), "")


def _phases(out: Output) -> Callable[[str], None]:
    """Each step of a build, a line on standard error."""
    return lambda text: None if out.json else out.note(plain(text))


def _finish(here: Desk, draft: Draft, out: Output, seat: Host | None = None) -> None:
    from lab_tool.imaging.store.record import add_image

    with bytes_done(out, "reading") as tell:
        added = add_image(here, draft, tell, seat)
    _tell(added, out)


def _tell(added: Added, out: Output) -> None:
    one = added.image
    out.line(out.say("image", "added", ref=one.ref, id=one.id), bold=True)
    out.line(out.say("image", "added_cells", cells=added.cells, new=added.new_cells, size=size(added.new_bytes)))
    command = f'lab image promote {one.ref} --ring canary --why "..."'
    out.note(out.say("image", "try_it", command=command))
    counts = {"cells": added.cells, "new_cells": added.new_cells, "new_bytes": added.new_bytes}
    out.result("image.added", {**as_json(one), **counts})
