"""A PC that was captured by a run becomes the draft of an image: the last good capture that the log names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.build.api import intake, silent
from lab_tool.imaging.format.fields import DIGEST
from lab_tool.imaging.format.order import ORDER_ID
from lab_tool.imaging.orders.parts import TABLE, incoming, is_whole
from lab_tool.imaging.store.draft import Draft
from lab_tool.log.query import Query, scan
from lab_tool.settings import Settings

VERB = "image_capture"


@dataclass(frozen=True, slots=True)
class Capture:
    """A good capture: of which PC, by which order and run, and the SHA-256 of the table that the PC sent."""

    host: str
    order: str
    run: str
    table: str


def last_capture(settings: Settings, host: str) -> Capture:
    """The last one of that host that was read back whole. Raises `UsageError` where the log names none."""
    found = None
    for entry in scan(settings.log, Query(kinds=("evidence.read",), host=host)):
        evidence = entry.body.get("evidence")
        # A rehearsal proves nothing, nor does what was run outside procedure.
        if not isinstance(evidence, dict) or entry.body.get("check") is True or entry.body.get("outside") is True:
            continue
        values = evidence.get("values")
        if evidence.get("verb") != VERB or evidence.get("outcome") != "ok" or not isinstance(values, dict):
            continue
        order, table = str(values.get("order", "")), str(values.get("cells", ""))
        if values.get("host") == host and ORDER_ID.fullmatch(order) and DIGEST.fullmatch(table):
            found = Capture(host, order, entry.subject.run, table)
    if found is None:
        raise UsageError(f"by the log {host} was never captured", next_command=_again(host))
    return found


@contextmanager
def captured(
    settings: Settings,
    host: str,
    name: str,
    *,
    title: str = "",
    changes: str = "",
    parent: str = "",
    progress: Callable[[str], None] = silent,
) -> Iterator[Draft]:
    """The draft of an image of that host's last capture; its files last as long as the `with` block.

    Raises `LabError`: there is none, or what is here is not what the log says was captured.
    """
    one = last_capture(settings, host)
    folder = incoming(settings, one.order)
    if not folder.is_dir():
        raise LabError("what the PC sent is not here any more", where=str(folder), next_command=_again(host))
    if not is_whole(folder / TABLE, one.table):
        raise RefusedError(
            f"this is not what {host} sent in run {one.run}", where=str(folder / TABLE), next_command=_again(host)
        )
    progress(f"{host}: {one.order}, {one.run}")
    with intake(settings, folder, name, title=title, changes=changes, parent=parent, progress=progress) as draft:
        yield replace(draft, source={**draft.source, "host": host, "run": one.run})


def _again(host: str) -> str:
    return f"lab change request {VERB} --host {host} --why ..."
