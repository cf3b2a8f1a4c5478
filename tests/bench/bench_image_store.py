"""What the second monthly version of a Debian image costs in the store: on the blocks of the first, and made anew.

    python -m tests.bench.bench_image_store [--days N] [--packages NAME,NAME ...]

The recipe is the example in inventory/images. The second version is what it gives now. The first is what it would have
given `--days` before the newest package in it was made: of each package that is younger the version before it that
the mirror still has is installed instead, of the kernel the one before. So what changes is what Debian published in
that time. Both are stored as `lab image build` stores them. Needs root, mmdebstrap, loop devices, and a mirror.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from lab_tool.imaging.build import debian
from lab_tool.imaging.build.apt import Apt, apt_here
from lab_tool.imaging.build.linux import Parent, from_tree
from lab_tool.imaging.build.recipe import Recipe, RecipeShape, load_recipe
from lab_tool.imaging.build.survey import packages
from lab_tool.imaging.format.manifest import NAMESPACE
from lab_tool.imaging.store.adding import Added, add
from lab_tool.imaging.store.draft import Draft
from lab_tool.imaging.store.store import Store
from lab_tool.settings import PROJECT
from lab_tool.signature import sign
from tests.support.office import key_of
from tests.support.small_image import codename

DAYS, GOAL = 31, "0.25"
_MIB = 1024 * 1024
_KERNEL = re.compile(r"linux-image-[0-9][0-9.]*-(\d+)-amd64")
_SIGNED = re.compile(rb"^ -- .*>  (.+)$", re.MULTILINE)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=DAYS, help=f"between the versions (default {DAYS})")
    parser.add_argument("--packages", help="instead of the example's own")
    options = parser.parse_args()
    recipe = _recipe(options.packages)
    with tempfile.TemporaryDirectory(prefix="bench-image-store-", dir="/var/tmp") as name:
        compare(recipe, options.days, Path(name))


def compare(recipe: Recipe, days: int, work: Path) -> None:
    """The first version once; the second on its blocks, and from scratch."""
    apt = apt_here(codename(), recipe.shape.origin.debian.components if recipe.shape.origin.debian else ())
    second_tree = _tree(recipe, work / "now", apt)
    preferences = work / "preferences"
    before = dict(_before(second_tree[0], days))
    pins = [f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n" for name, version in before.items()]
    preferences.write_text("\n".join(pins), encoding="utf-8")
    older = replace(apt, options=f'{apt.options}Dir::Etc::Preferences "{preferences}";\n')
    first_tree = _tree(_with_kernel_before(recipe, second_tree[0]), work / "then", older)
    store = Store(work / "with-parent")
    first, first_draft = _add(store, recipe, first_tree, work / "1", None)
    shutil.copytree(store.root, work / "from-scratch", copy_function=os.link)
    parent = Parent(store, first.image.id, first.image.manifest)
    second, second_draft = _add(store, recipe, second_tree, work / "2", parent)
    scratch, _ = _add(Store(work / "from-scratch"), recipe, second_tree, work / "3", None)
    print(_changes(first_draft, second_draft, days))
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


def _recipe(names: str | None) -> Recipe:
    example = load_recipe(PROJECT / "inventory", "debian-lab")
    fields: dict[str, Any] = example.shape.model_dump(by_alias=True)
    fields["from"]["debian"]["suite"] = codename()
    if names is not None:
        fields.update(packages=[name for name in names.split(",") if name], firmware=[])
    return Recipe(RecipeShape.model_validate(fields), example.folder, json.dumps(fields))


def _before(root: Path, days: int) -> Iterator[tuple[str, str]]:
    """Packages that are younger than `days` before the youngest, and the version before, where the mirror has one."""
    dates = {name: date for name in packages(root) if (date := _made(root, name))}
    limit = max(dates.values()) - timedelta(days=days)
    for name, version in packages(root).items():
        if name in dates and dates[name] >= limit:
            told = _say("apt-cache", "madison", name).splitlines()
            others = {line.split("|")[1].strip() for line in told} - {version}
            known: list[str] = []
            for other in others:
                if not known or _is_newer(other, known[0]):
                    known = [other]
            if known and _is_newer(version, known[0]):
                yield name, known[0]


def _made(root: Path, name: str) -> Any:
    """When this version of a package was signed off, by its own change log."""
    for file in ("changelog.Debian.gz", "changelog.gz", "changelog.Debian.amd64.gz"):
        path = root / "usr/share/doc" / name / file
        if path.is_file():
            found = _SIGNED.search(gzip.decompress(path.read_bytes()))
            return parsedate_to_datetime(found[1].decode()) if found else None
    return None


def _is_newer(one: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", one, "gt", other], check=False).returncode == 0


def _with_kernel_before(recipe: Recipe, root: Path) -> Recipe:
    """The same recipe with the kernel that was the last one before."""
    now = next(name for name in packages(root) if _KERNEL.fullmatch(name))
    offered = [line.split()[0] for line in _say("apt-cache", "search", "^linux-image-.*-amd64$").splitlines()]
    numbers = {int(found[1]): name for name in offered if (found := _KERNEL.fullmatch(name))}
    this = next(number for number, name in numbers.items() if name == now)
    last = numbers[max(number for number in numbers if number < this)]
    return replace(recipe, shape=recipe.shape.model_copy(update={"kernel": last}))


def _say(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _tree(recipe: Recipe, work: Path, apt: Apt) -> tuple[Path, float]:
    work.mkdir()
    mark = work / "begun"
    mark.touch()
    assert recipe.shape.origin.debian
    debian.make_tree(recipe, recipe.shape.origin.debian, work / "root", work, lambda text: None, apt=apt)
    return work / "root", mark.stat().st_mtime


def _add(
    store: Store, recipe: Recipe, tree: tuple[Path, float], work: Path, parent: Parent | None
) -> tuple[Added, Draft]:
    work.mkdir()
    begun = time.monotonic()
    draft = from_tree(recipe, *tree, work, lambda text: None, parent=parent, changes="measured")
    added = add(store, draft, _sign, "2026-11-24T00:00:00.000000Z", "bench")
    (work / "system.img").unlink()
    print(f"{work.name}: {time.monotonic() - begun:.0f} s\n", flush=True)
    return added, draft


def _sign(message: bytes) -> str:
    return sign(message, key_of("bench"), NAMESPACE)


def _changes(first: Draft, second: Draft, days: int) -> str:
    before, after = first.contents["packages"], second.contents["packages"]
    other = sorted(name for name, version in after.items() if before.get(name) != version)
    old, new = first.contents["files"], second.contents["files"]
    changed = [int(text.split()[1]) for path, text in new.items() if old.get(path) != text]
    total = sum(int(text.split()[1]) for text in new.values())
    return (
        f"{days} days. {len(after)} packages, {len(other)} of them in another version or new: {', '.join(other)}. "
        f"{len(new)} files, {len(changed)} changed or new ({sum(changed) / total:.0%} of {total / _MIB:.0f} MiB); "
        f"kernel {first.release['kernel']} -> {second.release['kernel']}\n"
    )


if __name__ == "__main__":
    main()
