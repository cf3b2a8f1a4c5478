"""What the second version of a Debian image costs in the store: on the blocks of the first, and made from scratch.

    python -m tests.bench.bench_image_store [--packages NAME,NAME ...] [--size MIB]

The first version is the release as it stood at its last point release: this machine's own sources without those for
security and other updates. The second is the same recipe with all of them: what a school gets that builds anew. So what
changes between the two is what Debian changed, its kernel included. Both are stored as `lab image build` stores them.
Needs root, mmdebstrap, loop devices, and a mirror.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab_tool.imaging.build import debian
from lab_tool.imaging.build.apt import Apt, apt_here
from lab_tool.imaging.build.linux import Parent, from_tree
from lab_tool.imaging.build.recipe import Recipe, RecipeShape
from lab_tool.imaging.format.manifest import NAMESPACE
from lab_tool.imaging.store.adding import Added, add
from lab_tool.imaging.store.draft import Draft
from lab_tool.imaging.store.store import Store
from lab_tool.signature import sign
from tests.support.office import key_of
from tests.support.small_image import codename

PACKAGES = "firefox-esr,fonts-noto-cjk,libreoffice-calc,libreoffice-impress,libreoffice-writer,lightdm,xfce4"
SIZE, GOAL = 6144, "0.25"
_MIB = 1024 * 1024


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", default=PACKAGES, help=f"beside the base system and kernel (default {PACKAGES})")
    parser.add_argument("--size", type=int, default=SIZE, help=f"MiB of the partition (default {SIZE})")
    options = parser.parse_args()
    recipe = _recipe(options.packages.split(","), options.size)
    with tempfile.TemporaryDirectory(prefix="bench-image-store-", dir="/var/tmp") as name:
        compare(recipe, Path(name))


def compare(recipe: Recipe, work: Path) -> None:
    """The first version once; the second on its blocks, and from scratch."""
    trees = {}
    for version, apt in (("first", _point_release()), ("second", None)):
        (work / version).mkdir()
        trees[version] = _tree(recipe, work / version, apt)
    store = Store(work / "with-parent")
    first, first_draft = _add(store, recipe, trees["first"], work / "1", None)
    shutil.copytree(store.root, work / "from-scratch", copy_function=os.link)
    parent = Parent(store, first.image.id, first.image.manifest)
    second, second_draft = _add(store, recipe, trees["second"], work / "2", parent)
    scratch, _ = _add(Store(work / "from-scratch"), recipe, trees["second"], work / "3", None)
    print(_changes(first_draft, second_draft))
    print("| what | new in the store | of the first | cells of the image that are new | goal |")
    print("| --- | --- | --- | --- | --- |")
    rows = (
        ("first version", first, ""),
        ("second, on the blocks of the first", second, GOAL),
        ("second, made anew", scratch, ""),
    )
    for text, added, goal in rows:
        share = added.new_bytes / first.new_bytes
        cells = f"{added.new_cells} of {added.cells}"
        print(f"| {text} | {added.new_bytes / _MIB:.1f} MiB | {share:.3f} | {cells} | {goal} |", flush=True)


def _recipe(packages: list[str], size: int) -> Recipe:
    fields: dict[str, Any] = {
        "image": "bench-lab",
        "title": {"zh": "测量", "en": "Bench"},
        "family": "linux",
        "from": {"debian": {"suite": codename()}},
        "packages": [name for name in packages if name],
        "system": {"fs": "ext4", "size_mib": size},
    }
    return Recipe(RecipeShape.model_validate(fields), Path("/"), json.dumps(fields))


def _point_release() -> Apt:
    """This machine's sources without the stanzas, or the suites in them, that bring updates."""
    suite = codename()
    apt = apt_here(suite, ())
    if not apt.deb822:
        lines = [line for line in apt.sources.splitlines() if f" {suite} " in line]
        return replace(apt, sources="\n".join([*lines, ""]))
    kept = []
    for stanza in apt.sources.split("\n\n"):
        lines = [f"Suites: {suite}" if line.startswith("Suites:") else line for line in stanza.splitlines()]
        if f"Suites: {suite}" in lines and suite in stanza.partition("Suites:")[2].splitlines()[0].split():
            kept.append("\n".join(lines))
    return replace(apt, sources="\n\n".join([*kept, ""]))


def _tree(recipe: Recipe, work: Path, apt: Apt | None) -> tuple[Path, float]:
    mark = work / "begun"
    mark.touch()
    assert recipe.shape.origin.debian
    debian.make_tree(recipe, recipe.shape.origin.debian, work / "root", work, lambda text: None, apt=apt)
    return work / "root", mark.stat().st_mtime


def _add(
    store: Store, recipe: Recipe, tree: tuple[Path, float], work: Path, parent: Parent | None
) -> tuple[Added, Draft]:
    work.mkdir()
    draft = from_tree(recipe, *tree, work, lambda text: None, parent=parent, changes="measured")
    added = add(store, draft, _sign, "2026-11-24T00:00:00.000000Z", "bench")
    (work / "system.img").unlink()
    return added, draft


def _sign(message: bytes) -> str:
    return sign(message, key_of("bench"), NAMESPACE)


def _changes(first: Draft, second: Draft) -> str:
    before, after = first.contents["packages"], second.contents["packages"]
    other = sum(before.get(name) != version for name, version in after.items())
    old, new = first.contents["files"], second.contents["files"]
    changed = sum(old.get(path) != text for path, text in new.items())
    kernels = f"{first.release['kernel']} -> {second.release['kernel']}"
    bytes_new = sum(int(text.split()[1]) for path, text in new.items() if old.get(path) != text)
    bytes_all = sum(int(text.split()[1]) for text in new.values())
    return (
        f"{len(after)} packages, {other} of them in another version or new; {len(new)} files, {changed} changed or new "
        f"({bytes_new / bytes_all:.0%} of {bytes_all / _MIB:.0f} MiB); kernel {kernels}\n"
    )


if __name__ == "__main__":
    main()
