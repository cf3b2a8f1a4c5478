"""From the kernel command line to a PC that is done, or to a message that says what a technician can do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lab_tool.errors import LabError
from lab_tool.imaging.deploy import cache, capture, hardware, heal, stream, trust
from lab_tool.imaging.deploy.image import Plan, carry_out, load_plan, thousandths, wanted
from lab_tool.imaging.deploy.situation import Situation
from lab_tool.imaging.deploy.talk import Progress, Talk
from lab_tool.imaging.deploy.trouble import AwayError, DeployError
from lab_tool.imaging.deploy.web import Web, WebSource
from lab_tool.imaging.deploy.writer import Writer
from lab_tool.imaging.format.datagrams import Join
from lab_tool.imaging.format.fields import FormatError
from lab_tool.imaging.format.manifest import Manifest

DONE, FAILED, AGAIN = 0, 1, 2
# Seconds; a server that names longer ones is asked sooner.
_LONGEST_WAIT = 30.0

Show = Callable[[str], None]


def run(situation: Situation, show: Show) -> int:
    """Carry out the order for this PC, and return how it ended: `DONE`, `FAILED` or `AGAIN`."""
    talk = None if situation.heal else Talk(situation)
    try:
        situation.check()
        if talk is None:
            heal.heal(situation, show)
        else:
            _ordered(situation, talk, show)
    except LabError as error:
        return _failed(error, talk, show)
    except (OSError, FormatError) as error:
        return _failed(DeployError(f"something unforeseen: {error}"), talk, show)
    except Exception as error:
        # A mistake of this program: the control node must hear of this PC all the same.
        return _failed(DeployError(f"a mistake of the deploy system ({type(error).__name__}: {error})"), talk, show)
    show("Done; starting from the disk")
    return DONE


def _ordered(situation: Situation, talk: Talk, show: Show) -> None:
    text, signature = talk.claim(hardware.facts(situation))
    order = trust.trusted_order(situation, text, signature)
    show(f"{order.host}: order {order.id}, {order.action}")
    talk.report("claimed")
    path = hardware.choose_disk(situation, order.disk)
    if order.action == "capture":
        with Progress(talk, situation.now) as progress:
            result = capture.capture(situation, order, path, talk, progress, show)
    else:
        web = Web(situation)
        manifests = trust.trusted_manifests(order, lambda image: web.get(f"/images/{image}/manifest.json"))
        for _, manifest in manifests:
            show(f"{manifest.name}/{manifest.version} to {path}")
        plan = load_plan(order, manifests, web.file)
        with Progress(talk, situation.now) as progress:
            fill = partial(_fill, situation, talk, web, progress, show, plan)
            keep = cache.keeper(situation, plan, text, signature, web, show) if order.cache else None
            result = carry_out(situation, plan, path, fill, progress, keep)
    talk.report("rebooting")
    talk.report("imaged", done=result["written_bytes"], total=result["written_bytes"], result=result)


def _fill(
    situation: Situation,
    talk: Talk,
    web: Web,
    progress: Progress,
    show: Show,
    plan: Plan,
    image: str,
    manifest: Manifest,
    writer: Writer,
) -> None:
    """Bring what the writer lacks of an image: when it is our turn, or together with the room."""
    source = WebSource(web, manifest.packs)

    def offer(digest: bytes, frame: bytes) -> None:
        progress.check()
        writer.offer(digest, frame)

    while missing := wanted(manifest, plan, writer):
        answer = talk.next(image, thousandths(missing, manifest, plan))
        if answer.get("do") == "fetch":
            progress.state("receiving", writer.missing_bytes)
            source.fetch(missing, offer)
            return
        if answer.get("do") == "join":
            progress.state("receiving", writer.missing_bytes)
            heard = _hear(answer, image, writer)
            show(f"stream: {heard}")
            writer.finish()
            continue
        progress.state("queued")
        situation.sleep(min(_LONGEST_WAIT, max(0.1, _seconds(answer))))


def _hear(answer: Any, image: str, writer: Writer) -> str:
    """Hear a stream. Whatever ends it, the next answer of the server tells how to get the rest."""
    try:
        heard = stream.receive(Join.of(answer), image, writer)
    except (FormatError, OSError) as error:
        return f"{error}; going on alone"
    return f"{heard.cells} cells" + ("" if heard.complete else f"; going on alone ({heard.reason})")


def _seconds(answer: Any) -> float:
    seconds = answer.get("seconds", 2)
    return float(seconds) if isinstance(seconds, int | float) else 2.0


def _failed(error: LabError, talk: Talk | None, show: Show) -> int:
    for line in (f"FAILED: {error.where}" if error.where else "FAILED", error.what):
        show(line)
    again = isinstance(error, AwayError)
    if talk is not None and talk.session and not again:
        try:
            talk.report("failed", message=str(error)[:1000])
        except LabError as away:
            show(f"The image server does not know it yet: {away.what}")
            again = True
    return AGAIN if again else FAILED
