"""Blocks in use: a copy of them and of nothing else is the whole file system; what can't be copied so is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab_tool.errors import LabError
from lab_tool.imaging.build.disk import copy
from lab_tool.imaging.build.used import merge, size_of, used_ranges
from tests.unit.imaging.build.conftest import MIB, MakeTree, builders_only, ext4, noise, sh


def test_ranges_are_joined_and_end_with_the_device() -> None:
    assert merge([(8, 12), (0, 4), (4, 6), (10, 99), (200, 300)], 50) == [(0, 6), (8, 50)]


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "disk"
    file.write_bytes(bytes(MIB))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"partclone\.xfs is not installed") as caught:
        used_ranges(file, "xfs")
    assert caught.value.next_command == "apt-get install partclone"


@builders_only
class TestFileSystems:
    @pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
    def test_what_is_in_use_is_all_there_is(self, tree: MakeTree, tmp_path: Path, fs: str) -> None:
        file = tmp_path / "file"
        root = tree()
        if fs == "ext4":
            ext4(root, file)
        else:
            file.touch()
            os.truncate(file, 384 * MIB)
            sh(f"mkfs.{fs}", "-q", file)
            _within(file, fs, f"cp -a {root}/. {{}}/ && sync -f {{}} && rm -r {{}}/usr/share/things/01*")
        used = used_ranges(file, fs)
        assert sum(end - start for start, end in used) < size_of(file) * 0.7
        copied = tmp_path / "copied"
        copy(file, copied, used, size_of(file))
        check = {"ext4": "e2fsck -fn", "xfs": "xfs_repair -n", "btrfs": "btrfs check --check-data-csum"}[fs]
        sh(*check.split(), copied)
        listed = "find . -type f | sort | xargs sha256sum"
        assert _within(copied, fs, f"cd {{}} && {listed}") == _within(file, fs, f"cd {{}} && {listed}")

    def test_one_block_less_and_it_is_not(self, tree: MakeTree, tmp_path: Path) -> None:
        file = ext4(tree(), tmp_path / "file")
        used = used_ranges(file, "ext4")
        longest = max(used, key=lambda one: one[1] - one[0])
        middle = (longest[0] + longest[1]) // 2 // 4096 * 4096
        less = [*(one for one in used if one != longest), (longest[0], middle), (middle + 4096, longest[1])]
        whole, lacking = tmp_path / "whole", tmp_path / "lacking"
        copy(file, whole, used, size_of(file))
        copy(file, lacking, merge(less, size_of(file)), size_of(file))
        listed = "cd {} && find . -type f | sort | xargs sha256sum"
        assert _within(whole, "ext4", listed) != _within(lacking, "ext4", listed)

    def test_ntfs_has_a_second_boot_sector_at_its_end(self, tmp_path: Path) -> None:
        file = tmp_path / "ntfs"
        file.touch()
        os.truncate(file, 64 * MIB)
        sh("mkntfs", "-q", "-F", "-f", "-s", "512", "-p", "2048", "-H", "255", "-S", "63", file)
        used = used_ranges(file, "ntfs")
        assert used[-1][1] == 64 * MIB
        copied, lacking = tmp_path / "copied", tmp_path / "lacking"
        copy(file, copied, used, 64 * MIB)
        sh("ntfsfix", "--no-action", copied)
        copy(file, lacking, used[:-1], 64 * MIB)
        with pytest.raises(AssertionError):
            sh("ntfsfix", "--no-action", lacking)

    def test_another_file_system_is_refused(self, tree: MakeTree, tmp_path: Path) -> None:
        file = ext4(tree(), tmp_path / "file")
        for fs in ("xfs", "btrfs", "ntfs", "vfat"):
            with pytest.raises(LabError, match="can't be read"):
                used_ranges(file, fs)
        with pytest.raises(LabError, match="can't be told"):
            used_ranges(file, "zfs")

    def test_a_journal_that_is_to_be_read_is_refused(self, tree: MakeTree, tmp_path: Path) -> None:
        file = ext4(tree(), tmp_path / "file")
        sh("debugfs", "-w", "-R", "feature needs_recovery", file)
        with pytest.raises(LabError, match="not put away clean"):
            used_ranges(file, "ext4")

    def test_so_is_a_log_of_btrfs(self, tmp_path: Path) -> None:
        file = tmp_path / "btrfs"
        file.touch()
        os.truncate(file, 256 * MIB)
        sh("mkfs.btrfs", "-q", file)
        used_ranges(file, "btrfs")
        with file.open("r+b") as opened:
            opened.seek(0x10060)
            opened.write(noise(1, 8))
        with pytest.raises(LabError, match="not put away clean"):
            used_ranges(file, "btrfs")


def _within(file: Path, fs: str, script: str) -> str:
    """Run shell text while the file system is mounted; `{}` in it is the place."""
    point = Path(f"{file}.point")
    point.mkdir()
    options = "loop,nouuid" if fs == "xfs" else "loop"
    words = f"mount -t {fs} -o {options} {file} {point} && ({script.replace('{}', str(point))}) && umount {point}"
    try:
        return sh("unshare", "--mount", "--propagation", "private", "sh", "-ec", words)
    finally:
        point.rmdir()
