"""Killed at any moment, or on a full disk: there is the whole version or none, and the next attempt works."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.store import durable
from lab_tool.imaging.store.whole import verify
from lab_tool.settings import PROJECT
from tests.support.killed import killed_at
from tests.unit.imaging.store.conftest import Bench, noise

MOST_STEPS = 200


def leftovers(bench: Bench) -> list[str]:
    """What was begun and not finished."""
    return [name for name in bench.files() if durable.UNFINISHED in name]


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step(tmp_path: Path, after: bool) -> None:
    esp = tmp_path / "esp.tar"
    esp.write_bytes(b"files")
    old, new = noise(1, 1024 * 1024), noise(1, 512 * 1024) + noise(2, 512 * 1024)
    for step in range(1, MOST_STEPS):
        (tmp_path / str(step)).mkdir()
        bench = Bench(tmp_path / str(step))
        bench.add(old)
        whole = killed_at(step, partial(bench.add, new, esp=esp), after=after)
        versions = bench.versions()
        assert versions in (["debian-lab/1"], ["debian-lab/1", "debian-lab/2"])
        assert verify(bench.store).damage == ()
        again = bench.add(new, esp=esp)
        assert again.image.manifest.version == len(versions) + 1
        assert not leftovers(bench)
        assert verify(bench.store).damage == ()
        bench.store.materialise(again.image.manifest.root, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == new
        if whole:
            assert step > 20
            return
    pytest.fail("it never came to its end")


def test_a_pack_that_got_to_its_place_is_not_made_again(bench: Bench) -> None:
    """What was killed after an hour of compressing goes on from there."""
    content = noise(1, 1024 * 1024)
    for step in range(1, MOST_STEPS):
        killed_at(step, partial(bench.add, content), after=True)
        if list((bench.store.root / "packs").glob("*.pack")):
            break
    assert bench.versions() == []
    assert bench.add(content).new_cells == 0


ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from lab_tool.errors import LabError
from lab_tool.imaging.store.whole import verify
from tests.unit.imaging.store.conftest import Bench, noise

disk, size = Path(sys.argv[1]), sys.argv[2]
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
bench = Bench(disk.parent)
try:
    bench.add(noise(1, 4 << 20))
    print("there was room")
except LabError as error:
    print(error)
print(bench.versions(), list(disk.rglob(".new-*")), len(verify(bench.store).damage))
subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
bench.add(noise(1, 4 << 20))
print(bench.versions(), len(verify(bench.store).damage))
"""


def on_a_small_disk(folder: Path, kibibytes: int) -> list[str]:
    """What was said of 4 MiB that were added where there was so much room, and again with more."""
    disk = folder / str(kibibytes) / "images"
    disk.mkdir(parents=True)
    # In a mount namespace of its own: it takes the disk along when it ends.
    argv = ["unshare", "-m", sys.executable, "-c", ON_A_SMALL_DISK, str(disk), f"{kibibytes}k"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(tmp_path: Path) -> None:
    """Full when the pack is written, or later: at a list, or at the manifest itself."""
    full = 0
    for kibibytes in (4, 16, 1024, 3072, *range(4096, 4200, 4)):
        said, before, after = on_a_small_disk(tmp_path, kibibytes)
        if said == "there was room":
            break
        full += 1
        assert "the disk takes no more" in said
        assert f"Run: df -h {tmp_path}" in said
        assert before == "[] [] 0"
        assert after == "['debian-lab/1'] 0"
    assert full > 6


@pytest.mark.parametrize("limit", [1024, 300_000, 900_000])
def test_a_file_that_may_grow_no_more(bench: Bench, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, for those who are not root: writing fails in the middle of the pack."""
    import resource

    draft = bench.draft(noise(1, 1024 * 1024))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        from lab_tool.imaging.store.adding import add
        from tests.unit.imaging.store.conftest import no_signature

        with pytest.raises(LabError, match="the disk takes no more"):
            add(bench.store, draft, no_signature, "2026", "tech")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert bench.files() == {}
    assert bench.add(noise(1, 1024 * 1024)).image.manifest.version == 1


def test_two_at_once_get_two_numbers(bench: Bench) -> None:
    children = []
    for seed in range(4):
        child = os.fork()
        if child == 0:
            try:
                Bench(bench.folder).add(noise(seed, 1024 * 1024), name="debian-lab")
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert bench.versions() == [f"debian-lab/{number}" for number in (1, 2, 3, 4)]
