"""Promoting a version to a ring, and going back: an entry first, then the inventory's file; PCs follow by a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab_tool.canonical import Json
from lab_tool.clock import utc_text
from lab_tool.core.orders import Desk
from lab_tool.core.plain_text import reason
from lab_tool.core.serial import one_at_a_time
from lab_tool.errors import LabError, RefusedError, UsageError
from lab_tool.imaging.store.promotions import NAMESPACE, PROMOTED, PROMOTERS, RETURNERS, Promotions
from lab_tool.imaging.store.proof import Provenance
from lab_tool.imaging.store.record import VERB, record_act, require_may, sign_act
from lab_tool.imaging.store.rings import Ring, Versions, read_versions, write_versions
from lab_tool.imaging.store.store import Store, StoredImage
from lab_tool.log.query import Query, scan
from lab_tool.school.model import School
from lab_tool.settings import Settings


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a ring gets now. `previous` is the id before, or empty; `entry` is None where it was so already.

    `canaries` are those that were imaged with it, by the log; `moved` files of the school's that had to make room.
    """

    image: str
    ref: str
    ring: Ring
    previous: str
    rollback: bool
    entry: int | None
    canaries: tuple[str, ...]
    moved: tuple[str, ...]


def promote(desk: Desk, ref: str, ring: Ring, why: str, without_canary: str = "") -> Promoted:
    """Give a version to a ring. For all: somebody else made it, and a canary has it, or it is said why none does.

    Raises `RefusedError` where a gate is shut.
    """
    why = reason(why, "--why")
    if without_canary and ring == "canary":
        raise UsageError("--without-canary is for --ring all", next_command="lab image promote --help")
    without = reason(without_canary, "--without-canary") if without_canary else ""
    person = require_may(desk, PROMOTERS[ring], rooms_of(desk.school, ring))
    one = Store(desk.settings.images).find(ref)
    Provenance(desk.settings, desk.school).require(one)
    seen = canary_evidence(desk.settings, desk.school, one.id)
    if ring == "all":
        if person.id == one.manifest.by:
            raise RefusedError(f"{one.ref} was made by {person.id}: somebody else has to promote it to all")
        if not seen and not without:
            raise RefusedError(
                f"no canary was imaged with {one.ref} by the log; try it there first, or say why not: --without-canary",
                next_command=f'lab image promote {one.ref} --ring canary --why "..."',
            )
    intent: dict[str, Json] = {"without_canary": "" if seen else without, "canaries": dict(seen)}
    return _carry_out(desk, person.id, one, ring, why, False, intent)


def rollback(desk: Desk, name: str, ring: Ring, why: str) -> Promoted:
    """Give a ring the version it had before, by the log. Raises `UsageError` where it had none."""
    why = reason(why, "--why")
    person = require_may(desk, RETURNERS[ring], rooms_of(desk.school, ring))
    current = read_versions(desk.settings.inventory).of(ring).get(name, "")
    had = Promotions(desk.settings, desk.school).history(name)[ring]
    if not current or not had:
        raise UsageError(f"nothing of {name} was promoted to {ring}", next_command="lab image list")
    if had[-1] != current:
        raise RefusedError(
            f"by the log {ring} has {had[-1][:12]}, by the inventory {current[:12]}; promote what it is to have",
            next_command=f'lab image promote {had[-1][:12]} --ring {ring} --why "..."',
        )
    if len(had) == 1:
        raise UsageError(f"{ring} had no other version of {name} before", next_command="lab image list")
    store = Store(desk.settings.images)
    one = store.find(had[-2])
    Provenance(desk.settings, desk.school).require(one)
    return _carry_out(desk, person.id, one, ring, why, True, {"without_canary": "", "canaries": {}})


def rooms_of(school: School, ring: Ring) -> list[str]:
    """The rooms whose PCs a ring reaches. Raises `UsageError` where it is nobody."""
    rooms = [room.id for room in school.rooms.values() if ring == "all" or any(host.canary for host in room.hosts)]
    if not rooms:
        raise UsageError("no seat is a canary", where="inventory/rooms", next_command="lab rooms")
    return rooms


def canary_evidence(settings: Settings, school: School, image: str) -> dict[str, int]:
    """The canaries that stated that image after it was written to them, each with the number of the last entry."""
    canaries = {host.name for room in school.rooms.values() for host in room.hosts if host.canary}
    found: dict[str, int] = {}
    for entry in scan(settings.log, Query(kinds=("evidence.read",))):
        evidence, values = entry.body.get("evidence"), None
        if isinstance(evidence, dict) and evidence.get("verb") == VERB and evidence.get("outcome") == "ok":
            values = evidence.get("values")
        # A rehearsal proves nothing, nor does what was run outside procedure.
        if entry.body.get("check") is True or entry.body.get("outside") is True:
            continue
        if isinstance(values, dict) and values.get("image") == image:
            found |= {host: entry.seq for host in entry.subject.hosts if host in canaries}
    return found


def _carry_out(
    desk: Desk, who: str, one: StoredImage, ring: Ring, why: str, back: bool, more: Mapping[str, Json]
) -> Promoted:
    before = read_versions(desk.settings.inventory)
    previous = before.of(ring).get(one.manifest.name, "")
    canaries = tuple(sorted(more["canaries"])) if isinstance(more["canaries"], dict) else ()
    had = Promotions(desk.settings, desk.school).history(one.manifest.name)[ring]
    if previous == one.id and had[-1:] == [one.id]:
        return Promoted(one.id, one.ref, ring, previous, back, None, canaries, ())
    intent: dict[str, Json] = {
        "v": 1,
        "type": PROMOTED,
        "origin": desk.school.log.origin,
        "image": one.id,
        "ref": one.ref,
        "name": one.manifest.name,
        "version": one.manifest.version,
        "ring": ring,
        "previous": previous,
        "rollback": back,
        "person": who,
        "at": utc_text(desk.clock()),
        "why": why,
        **more,
    }
    person = desk.school.people[who]
    armored = sign_act(desk, person, intent, NAMESPACE)
    with one_at_a_time(desk.settings):
        if read_versions(desk.settings.inventory) != before:
            raise LabError("somebody else promoted in this moment; look and do it again", next_command="lab image list")
        # Not one that was removed meanwhile.
        Store(desk.settings.images).read(one.id)
        entry = record_act(desk, person, PROMOTED, intent, armored)
        after: Versions = before.promoted(ring, one.manifest.name, one.id)
        moved = write_versions(desk.settings.inventory, after)
    return Promoted(one.id, one.ref, ring, previous, back, entry.seq, canaries, tuple(moved))
