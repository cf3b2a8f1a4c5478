"""What the commands of `lab image` have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.output import Output
from lab_tool.clock import utc_now
from lab_tool.log.text import plain
from lab_tool.settings import Settings

if TYPE_CHECKING:
    from lab_tool.core.orders import Desk
    from lab_tool.imaging.store.draft import Progress
    from lab_tool.imaging.store.store import StoredImage

MIB = 1024 * 1024
SHORT_ID = 12


def key_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--key` of those who act."""
    text = "Your SSH key (default: LAB_KEY, ~/.ssh/id_ed25519)."
    return click.option("--key", type=click.Path(path_type=Path), help=text)(command)


def desk(key: Path | None) -> Desk:
    """Settings, school, and the key of whoever acts."""
    from lab_tool.core.identity import default_key
    from lab_tool.core.orders import Desk
    from lab_tool.school.load import load_school

    settings = Settings.from_environment(os.environ)
    return Desk(settings, load_school(settings.inventory), key or default_key(os.environ), utc_now)


def size(number: int) -> str:
    """Bytes, for people."""
    return f"{number / 1024 / MIB:.1f} GiB" if number >= 1024 * MIB else f"{number / MIB:.1f} MiB"


def as_json(one: StoredImage) -> dict[str, Any]:
    """A version, as `--json` tells it; the manifest's own fields are those that were signed."""
    made = one.manifest
    return {
        "id": one.id,
        "ref": one.ref,
        "name": made.name,
        "version": made.version,
        "made": made.made,
        "by": made.by,
        "family": made.family,
        "title": made.title,
        "kind": made.kind,
        "source": dict(made.source),
        "parent": made.parent,
        "changes": made.changes,
        "partitions": [{name: getattr(part, name) for name in part.__dataclass_fields__} for part in made.partitions],
        "packs": list(made.packs),
        "contents": made.contents,
        "esp": made.esp,
        "release": dict(made.release),
    }


@contextmanager
def bytes_done(out: Output, word: str) -> Iterator[Progress]:
    """A line that counts up on a terminal's standard error; elsewhere nothing. `word` is what is being done."""
    if out.json or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    shown = [""]

    def tell(what: str, done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        text = f"{out.say('image', word)} {plain(what)}: {percent}% ({done // MIB} / {total // MIB} MiB)"
        if text != shown[0]:
            shown[0] = text
            click.echo(f"\r{text}\x1b[K", err=True, nl=False)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)
