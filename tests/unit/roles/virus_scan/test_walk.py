"""Walking through folders, and where a walk must not go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab_tool.plugins.module_utils.lab_virus_scan.mounts import Mounts, parse
from lab_tool.plugins.module_utils.lab_virus_scan.walk import Key, Walk, open_file, open_folder

MOUNTS = b"""\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /dev rw - devtmpfs udev rw
25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw
26 22 8:2 / /home rw - ext4 /dev/sda2 rw
27 26 0:40 / /home/a/my\\040nas rw - cifs //nas/a rw
28 26 0:41 / /home/a/phone rw - fuse.gvfsd-fuse gvfsd rw
29 22 0:42 / /media/usb rw - fuseblk /dev/sdb1 rw
30 23 0:43 / /proc/fs/x rw - tmpfs tmpfs rw
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files, folders, and what is neither."""
    for name in ("b/2", "a/deep/er/1", "a.txt", "a/z", "c/skip/3", "c/4", "z"):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_text(name, encoding="ascii")
    (tmp_path / "t/link").symlink_to("z")
    (tmp_path / "t/folder").symlink_to("a")
    os.mkfifo(tmp_path / "t/pipe")
    (tmp_path / "t/empty").mkdir()
    return tmp_path / "t"


def walked(tree: Path, after: Key = (), excluded: tuple[str, ...] = ()) -> list[tuple[str, Key]]:
    """Paths below the tree, and their keys."""
    walk = Walk(Mounts(), [os.fsencode(f"{tree}/{pattern}") for pattern in excluded])
    root = os.fsencode(tree)
    return [(os.fsdecode(place.path[len(root) + 1 :]), place.key) for place in walk.files([root], after)]


def test_each_regular_file_once_and_in_order(tree: Path) -> None:
    assert [name for name, _ in walked(tree)] == ["a/deep/er/1", "a/z", "a.txt", "b/2", "c/4", "c/skip/3", "z"]


def test_a_walk_can_go_on_after_any_file(tree: Path) -> None:
    everything = walked(tree)
    for index, (_, key) in enumerate(everything):
        assert walked(tree, key) == everything[index + 1 :]


def test_it_goes_on_also_where_the_file_is_gone_since(tree: Path) -> None:
    everything = walked(tree)
    (tree / "a/z").unlink()
    assert walked(tree, everything[1][1]) == everything[2:]


def test_exclusions_hold_for_what_lies_below(tree: Path) -> None:
    assert [name for name, _ in walked(tree, excluded=("c/skip", "a/*", "*.txt"))] == ["b/2", "c/4", "z"]


def test_a_single_file_is_a_root_too(tree: Path) -> None:
    assert [name for name, _ in walked(tree / "z")] == [""]
    assert walked(tree / "no-such") == []


def test_no_descriptor_is_left_open(tree: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    walk = Walk(Mounts()).files([os.fsencode(tree)])
    next(walk)
    del walk
    walked(tree)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_link_on_the_way_is_followed(tree: Path) -> None:
    with pytest.raises(OSError, match="Not a directory"):
        open_folder(os.fsencode(tree / "folder/deep"))
    with pytest.raises(OSError, match=r"\.\."):
        open_folder(os.fsencode(f"{tree}/a/../b"))


def test_a_file_that_became_a_link_or_a_pipe_is_not_opened(tree: Path) -> None:
    for place in Walk(Mounts()).files([os.fsencode(tree)]):
        path = Path(os.fsdecode(place.path))
        path.unlink()
        if place.name == b"z":
            os.mkfifo(path)
        else:
            path.symlink_to("/etc/passwd")
        with pytest.raises(OSError):
            open_file(place)


def test_no_path_is_too_long(tree: Path) -> None:
    told: list[bytes] = []
    walk = Walk(Mounts(), on_error=lambda path, error: told.append(path))
    # Too long for a path; by descriptors there is no such thing.
    folder = os.open(tree, os.O_RDONLY)
    for _ in range(31):
        os.mkdir("n" * 200, dir_fd=folder)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    assert b"deep" in [place.name for place in walk.files([os.fsencode(tree)])]
    assert told == []


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    """A PC with network mounts and pseudo file systems."""
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    return Mounts(str(tmp_path / "mountinfo"))


def test_names_of_mount_points_are_read_as_they_are() -> None:
    assert b"/home/a/my nas" in [mount.point for mount in parse(MOUNTS)]


def test_neither_pseudo_file_systems_nor_networks_are_entered(mounts: Mounts) -> None:
    assert all(mounts.is_foreign(point) for point in (b"/proc", b"/dev", b"/home/a/my nas", b"/home/a/phone"))
    assert not any(mounts.is_foreign(point) for point in (b"/", b"/home", b"/media/usb", b"/home/a"))


def test_the_whole_disk_is_all_that_can_be_reached_and_what_can_not(mounts: Mounts) -> None:
    assert mounts.whole_disk() == [b"/", b"/dev/shm"]


def test_devices_decide_where_names_do_not(mounts: Mounts) -> None:
    disk, other, nas, unknown = os.makedev(8, 1), os.makedev(8, 2), os.makedev(0, 40), os.makedev(0, 99)
    assert mounts.may_cross(disk, disk) and mounts.may_cross(disk, other)
    assert not mounts.may_cross(disk, nas)
    assert not mounts.may_cross(disk, unknown)


def test_what_lies_too_deep_is_told_and_the_rest_is_walked(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory grows with the square of the depth: a scan that runs out of it would find nothing at all."""
    monkeypatch.setattr("lab_tool.plugins.module_utils.lab_virus_scan.walk.DEEPEST", 3)
    told: list[tuple[bytes, str]] = []
    walk = Walk(Mounts(), on_error=lambda path, error: told.append((path, error.strerror or "")))
    found = [os.path.relpath(os.fsdecode(place.path), tree) for place in walk.files([os.fsencode(tree)])]
    assert found == ["a/z", "a.txt", "b/2", "c/4", "c/skip/3", "z"]
    assert told == [(os.fsencode(tree / "a/deep/er"), "more than 3 folders deep")]
