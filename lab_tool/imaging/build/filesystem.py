"""Root file systems become partitions: anew, each block where the last making had it, or on the blocks of a parent."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.imaging.build.programs import in_mount, tool

MIB = 1024 * 1024
# GRUB of the present stable release reads file systems without these only.
_EXT4_FEATURES = "^metadata_csum_seed,^orphan_file"
# Inodes that ext4 keeps for itself; the first of the others is that of lost+found.
_EXT4_ROOT, _EXT4_FIRST = 2, 11
_FREE_INODES = re.compile(r"^\s+Free inodes: (.*)$", re.MULTILINE)
_INODES = re.compile(r"^Inode count:\s+(\d+)$", re.MULTILINE)
# No journal: what it holds after the work would be other blocks each time.
_OPTIONS = {"ext4": "noatime,noload", "xfs": "noatime,nouuid", "btrfs": "noatime"}
_RSYNC = ("rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--numeric-ids", "--one-file-system")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file system to be: `uuid` is its id, `epoch` the newest date in it, in seconds."""

    fs: str
    size: int
    uuid: str
    epoch: int


def make(tree: Path, image: Path, wanted: Wanted) -> None:
    """Write the file `image`, which holds the tree in a new file system. Raises `LabError`.

    For ext4 the same tree makes the same bytes.
    """
    with image.open("wb") as file:
        file.truncate(wanted.size)
    if wanted.fs == "ext4":
        _make_ext4(tree, image, wanted)
        return
    makers: dict[str, tuple[str, ...]] = {
        "xfs": ("mkfs.xfs", "-q", "-m", f"uuid={wanted.uuid}"),
        "btrfs": ("mkfs.btrfs", "-q", "-U", wanted.uuid),
    }
    tool(*makers[wanted.fs], image, what=f"a new file system ({wanted.fs})")
    _copy(tree, image, wanted.fs, ())


def bring_up_to(tree: Path, image: Path, wanted: Wanted) -> None:
    """Bring the file system in the file `image`, a parent's, to the content of the tree: what is the same stays on its
    blocks. Raises `LabError`.
    """
    size = image.stat().st_size
    if size > wanted.size:
        what = f"the parent has {size // MIB} MiB, the recipe asks for {wanted.size // MIB}: it can only grow"
        raise LabError(what, next_command="lab image build without --parent")
    if size < wanted.size:
        os.truncate(image, wanted.size)
        _grow(image, wanted.fs)
    _copy(tree, image, wanted.fs, ("--checksum", "--delete", "--inplace"))
    if wanted.fs == "ext4":
        # Of when and where it was mounted.
        tool("tune2fs", "-C", "0", "-M", "/", "-T", "19700101", image, what="the parent's file system", env=_at(wanted))
        tool("e2fsck", "-f", "-p", image, what="the file system that was made of the parent's", accept=(0, 1))


def _copy(tree: Path, image: Path, fs: str, more: tuple[str, ...]) -> None:
    """Twice: a file that shares its inode with another one in the parent only is put right by the second pass, which
    replaces whole files; what that one still finds different makes the third fail.
    """
    steps = [f"{' '.join(_RSYNC)} {' '.join(more)} '{tree}/' '{{}}/'"]
    if more:
        steps.append(f"{' '.join(_RSYNC)} --checksum --delete '{tree}/' '{{}}/'")
    left = f"{' '.join(_RSYNC)} --checksum --delete --dry-run --itemize-changes '{tree}/' '{{}}/'"
    script = "; ".join(["set -e", *steps, f'left=$({left}); test -z "$left" || {{ echo "$left" >&2; exit 9; }}'])
    in_mount(image, fs, _OPTIONS[fs], "sh", "-c", script, what="copying into the file system")


def _grow(image: Path, fs: str) -> None:
    if fs == "ext4":
        tool("e2fsck", "-f", "-p", image, what="the parent's file system", accept=(0, 1))
        tool("resize2fs", image, what="growing the parent's file system")
        return
    grower = {"xfs": ("xfs_growfs", "{}"), "btrfs": ("btrfs", "filesystem", "resize", "max", "{}")}[fs]
    in_mount(image, fs, _OPTIONS[fs], *grower, what="growing the parent's file system")


def _at(wanted: Wanted) -> dict[str, str]:
    return {"E2FSPROGS_FAKE_TIME": str(wanted.epoch)}


def _make_ext4(tree: Path, image: Path, wanted: Wanted) -> None:
    seed = uuid.uuid5(uuid.UUID(wanted.uuid), "hash")
    tool(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", _EXT4_FEATURES, "-U", wanted.uuid),
        *("-E", f"hash_seed={seed},lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-M", "/"),
        *("-d", tree, image),
        what="a new file system (ext4)",
        env=_at(wanted),
    )
    # mke2fs takes over when each inode last changed, which is now and can't be set in the tree.
    commands = [
        f"set_inode_field <{inode}> {field} @{wanted.epoch}"
        for inode in (_EXT4_ROOT, *_inodes(image))
        for field in ("ctime", "ctime_extra")
    ]
    commands = [command.replace(f"ctime_extra @{wanted.epoch}", "ctime_extra 0") for command in commands]
    script = "\n".join([*commands, ""]).encode()
    tool("debugfs", "-w", "-f", "-", image, what="dates in the file system", env=_at(wanted), input=script)
    tool("e2fsck", "-f", "-n", image, what="the file system that was made", env=_at(wanted))


def _inodes(image: Path) -> Iterator[int]:
    """The inodes in use, but for those that ext4 keeps for itself."""
    told = tool("dumpe2fs", image, what="the file system that was made").out.decode(errors="replace")
    count = _INODES.search(told)
    free: set[int] = set()
    for line in _FREE_INODES.findall(told):
        for part in filter(None, line.split(", ")):
            first, _, last = part.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    yield from (inode for inode in range(_EXT4_FIRST, int(count[1] if count else 0) + 1) if inode not in free)
