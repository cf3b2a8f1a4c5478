"""`lab image list`, `show`, `diff`, `verify`: what is in the store, and whether it still is what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lab_tool.cli.image_common import SHORT_ID, as_json, bytes_done, desk, size
from lab_tool.cli.output import Output, output_options
from lab_tool.errors import VerificationError
from lab_tool.log.text import plain

if TYPE_CHECKING:
    from lab_tool.imaging.format.manifest import Partition
    from lab_tool.imaging.store.compare import Changes
    from lab_tool.imaging.store.rings import Versions
    from lab_tool.imaging.store.store import StoredImage

# Of files in a comparison; --all shows every one.
MOST_FILES = 20


@click.command(name="list")
@click.argument("name", required=False, default="")
@output_options
def list_(name: str, out: Output) -> None:
    """List the versions in the store, or those of one NAME: who made each and when, and which ring has it.

    \b
    Examples:
      lab image list
      lab image list debian-lab --json
    """
    from lab_tool.imaging.store.promotions import Promotions
    from lab_tool.imaging.store.proof import Provenance
    from lab_tool.imaging.store.rings import read_versions
    from lab_tool.imaging.store.store import Store

    here = desk(None)
    images, damaged = Store(here.settings.images).survey()
    versions = read_versions(here.settings.inventory)
    provenance = Provenance(here.settings, here.school)
    shown = [one for one in images if name in ("", one.manifest.name)]
    faults = {one.id: provenance.why_not(one) for one in shown}
    if shown:
        columns = ("version", "id", "made", "by", "kind", "used", "rings", "changes")
        out.table([out.say("image", column) for column in columns], [_row(one, versions, out) for one in shown])
    else:
        out.line(out.say("image", "none"))
    for one in shown:
        if faults[one.id]:
            out.line(out.say("image", "not_counted", ref=one.ref, why=faults[one.id]), colour="red")
    unpromoted = Promotions(here.settings, here.school).strangers(versions)
    for ring, names in unpromoted.items():
        for each, has in names.items():
            words = {"ring": out.say("image", f"ring_{ring}"), "name": each, "has": has[:SHORT_ID] or "-"}
            out.line(out.say("image", "unpromoted", **words), colour="red")
    for image, what in damaged.items():
        out.line(out.say("image", "unreadable", id=image[:SHORT_ID], what=plain(what)), colour="red")
    out.result(
        "images",
        {
            "images": [{**as_json(one), "rings": rings_of(one, versions), "fault": faults[one.id]} for one in shown],
            "damaged": damaged,
            "unpromoted": unpromoted,
        },
    )
    if damaged or unpromoted or any(faults.values()):
        raise SystemExit(VerificationError.exit_code)


@click.command()
@click.argument("ref", metavar="IMAGE")
@click.option("--packages", is_flag=True, help="Also list every package.")
@output_options
def show(ref: str, packages: bool, out: Output) -> None:
    """Show IMAGE (a name, name/version or the beginning of an id): what it is, from what, by whom, and what is in it.

    \b
    Examples:
      lab image show debian-lab              the last version
      lab image show debian-lab/2 --packages
      lab image show 48ec8743a925 --json
    """
    from lab_tool.imaging.store.promote import canary_evidence
    from lab_tool.imaging.store.proof import Provenance
    from lab_tool.imaging.store.rings import read_versions
    from lab_tool.imaging.store.store import Store

    here = desk(None)
    store = Store(here.settings.images)
    one = store.find(ref)
    contents = store.contents(one.manifest)
    fault = Provenance(here.settings, here.school).why_not(one)
    rings = rings_of(one, read_versions(here.settings.inventory))
    canaries = canary_evidence(here.settings, here.school, one.id)
    listed = contents.get("packages") or {}
    made = one.manifest
    out.line(f"{one.ref}  {made.title}", bold=True)
    facts = {
        "id": one.id,
        "made": made.made,
        "by": made.by,
        "kind": _kind(one, out),
        "source": ", ".join(f"{name} {value}" for name, value in sorted(made.source.items())),
        "parent": made.parent,
        "changes": made.changes,
        "release": ", ".join(f"{name} {value}" for name, value in sorted(made.release.items())),
        "rings": _rings(rings, out),
        "canaries": ", ".join(canaries),
        "contents": out.say("image", "counts", packages=len(listed), files=len(contents.get("files") or {})),
    }
    for word, text in facts.items():
        if text:
            out.line(f"{out.say('image', word)}: {plain(text)}")
    out.line(
        out.say("image", "not_counted", ref=one.ref, why=fault) if fault else out.say("image", "counted"),
        colour="red" if fault else "green",
    )
    columns = ("partition", "fs", "size", "used", "grows")
    out.table([out.say("image", word) for word in columns], [_partition(part, out) for part in made.partitions])
    if packages:
        out.table([out.say("image", word) for word in ("package", "version")], sorted(listed.items()))
    more = {"packages": dict(listed)} if packages else {}
    out.result("image", {**as_json(one), "rings": rings, "canaries": canaries, "fault": fault, **more})
    if fault:
        raise SystemExit(VerificationError.exit_code)


@click.command()
@click.argument("before", metavar="IMAGE")
@click.argument("after", metavar="IMAGE")
@click.option("--all", "everything", is_flag=True, help="Every file, not only the first ones.")
@output_options
def diff(before: str, after: str, everything: bool, out: Output) -> None:
    """Show what is different between two images: packages, files, and how much a PC with the first has to fetch.

    \b
    Examples:
      lab image diff debian-lab/2 debian-lab/3
      lab image diff debian-lab/2 debian-lab --all --json
    """
    from lab_tool.imaging.store.compare import compare
    from lab_tool.imaging.store.store import Store

    store = Store(desk(None).settings.images)
    found = compare(store, store.find(before), store.find(after))
    out.line(f"{found.before.ref} -> {found.after.ref}", bold=True)
    out.line(out.say("image", "to_fetch", fetch=size(found.to_fetch), used=size(found.used)))
    if found.packages.changed:
        out.table(
            [out.say("image", word) for word in ("package", "was", "is")],
            [(name, was, now) for name, (was, now) in found.packages.changed.items()],
        )
    else:
        out.line(out.say("image", "same_packages"))
    _files(found.files, everything, out)
    out.result(
        "image.diff",
        {
            "before": found.before.id,
            "after": found.after.id,
            "used_bytes": found.used,
            "fetch_bytes": found.to_fetch,
            "packages": _both(found.packages),
            "files": _both(found.files),
        },
    )


@click.command()
@output_options
def verify(out: Output) -> None:
    """Read the whole store and hash it anew: every manifest, list, pack and cell, and every deploy system.

    \b
    Examples:
      lab image verify
      lab image verify --json

    \b
    Exit codes:
      0 all is what it was            4 something is not, or counts as nobody's
    """
    from lab_tool.imaging.store.deploy_systems import deploy_systems, faults_of, was_built
    from lab_tool.imaging.store.proof import Provenance
    from lab_tool.imaging.store.store import Store
    from lab_tool.imaging.store.whole import Damage
    from lab_tool.imaging.store.whole import verify as check

    here = desk(None)
    store = Store(here.settings.images)
    with bytes_done(out, "verifying") as tell:
        checked = check(store, tell)
    provenance = Provenance(here.settings, here.school)
    damage = list(checked.damage)
    damage += [Damage(f"images/{one.id}", why, (one.id,)) for one in store.images() if (why := provenance.why_not(one))]
    damage += [
        Damage(f"deploy/{one.id}/{name}", out.say("image", "not_what_it_was"), ())
        for one in deploy_systems(store.root)
        for name in faults_of(store.root, one)
    ]
    damage += [
        Damage(f"deploy/{one.id}", out.say("image", "built_by_nobody"), ())
        for one in deploy_systems(store.root)
        if not was_built(here.settings, here.school, one.id)
    ]
    for each in damage:
        needed = ", ".join(image[:SHORT_ID] for image in each.images)
        out.line(f"{each.path}: {plain(each.what)}" + (f" ({needed})" if needed else ""), colour="red")
    counts = {"images": checked.images, "packs": checked.packs, "size": size(checked.bytes), "damage": len(damage)}
    out.line(
        out.say("image", "damaged" if damage else "whole", **counts), colour="red" if damage else "green", bold=True
    )
    found = [{"path": each.path, "what": each.what, "images": list(each.images)} for each in damage]
    out.result(
        "image.verify",
        {"images": checked.images, "packs": checked.packs, "bytes": checked.bytes, "damage": found},
    )
    if damage:
        raise SystemExit(VerificationError.exit_code)


def rings_of(one: StoredImage, versions: Versions) -> list[str]:
    """The rings whose PCs get this version."""
    from lab_tool.imaging.store.rings import RINGS

    return [ring for ring in RINGS if versions.of(ring).get(one.manifest.name) == one.id]


def _row(one: StoredImage, versions: Versions, out: Output) -> tuple[str, ...]:
    made = one.manifest
    used = sum(part.used for part in made.partitions)
    when = made.made[:16].replace("T", " ")
    rings = _rings(rings_of(one, versions), out)
    return (one.ref, one.id[:SHORT_ID], when, made.by, _kind(one, out), size(used), rings, made.changes)


def _partition(part: Partition, out: Output) -> tuple[str, ...]:
    used = size(part.used) if part.cells else ""
    return (part.name, part.fs, size(part.size), used, out.say("image", "yes") if part.grows else "")


def _rings(rings: list[str], out: Output) -> str:
    return ", ".join(out.say("image", f"ring_{ring}") for ring in rings)


def _kind(one: StoredImage, out: Output) -> str:
    return out.say("image", f"kind_{one.manifest.kind}")


def _files(changes: Changes, everything: bool, out: Output) -> None:
    counts = {"added": len(changes.added), "removed": len(changes.removed), "changed": len(changes.other)}
    out.line(out.say("image", "files", **counts))
    marks = [(name, "-" if not now else "+" if not was else "~") for name, (was, now) in changes.changed.items()]
    shown = marks if everything else marks[:MOST_FILES]
    for name, mark in shown:
        out.line(f"  {mark} {plain(name)}")
    if len(marks) > len(shown):
        out.line("  " + out.say("image", "more_files", more=len(marks) - len(shown)))


def _both(changes: Changes) -> dict[str, Any]:
    return {name: {"was": was, "is": now} for name, (was, now) in changes.changed.items()}
