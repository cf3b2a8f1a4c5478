"""A real file system: what its free blocks hold stays behind, and what comes out is whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab_tool.imaging.build.used import used_ranges
from lab_tool.imaging.store.adding import add
from lab_tool.imaging.store.draft import Draft, DraftPartition
from lab_tool.imaging.store.whole import verify
from tests.unit.imaging.store.conftest import MIB, Bench, no_signature, noise

SIZE = 64 * MIB
NEEDED = ("mke2fs", "e2fsck", "debugfs", "partclone.ext4")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason="needs e2fsprogs and partclone to make a file system and read it"
)


def run(*argv: str | Path) -> str:
    """Run to its end."""
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """An ext4 with a file of 5 MB, and in its free blocks one that was deleted."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(noise(1, 5_000_000))
    (tmp_path / "deleted").write_bytes(b"secret!!" * 1_000_000)
    path = tmp_path / "ext4"
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path, f"{SIZE // 1024}k")
    run("debugfs", "-w", "-R", f"write {tmp_path / 'deleted'} deleted", path)
    run("debugfs", "-w", "-R", "rm deleted", path)
    return path


def draft(device: Path) -> Draft:
    """The image of it."""
    used = tuple(used_ranges(device, "ext4"))
    part = DraftPartition("system", "ext4", SIZE, True, "", "", device, used)
    return Draft("debian-lab", "linux", "Debian", "import", {}, (part,), {"packages": {}, "files": {}})


def test_a_file_system_goes_in_and_comes_out(bench: Bench, device: Path, tmp_path: Path) -> None:
    assert b"secret" in device.read_bytes()
    first = add(bench.store, draft(device), no_signature, "2026", "tech")
    out = tmp_path / "out"
    part = bench.store.find("debian-lab").manifest.root
    bench.store.materialise(part, out)
    assert part.used < SIZE / 2
    assert b"secret" not in out.read_bytes()
    run("e2fsck", "-fn", out)
    run("debugfs", "-R", f"dump /file {tmp_path / 'file'}", out)
    assert (tmp_path / "file").read_bytes() == noise(1, 5_000_000)
    assert verify(bench.store).damage == ()
    # One more file in it: a fraction of the first.
    (tmp_path / "more").write_bytes(noise(2, 100_000))
    run("debugfs", "-w", "-R", f"write {tmp_path / 'more'} more", device)
    second = add(bench.store, draft(device), no_signature, "2026", "tech")
    assert 0 < second.new_bytes < first.new_bytes / 4
