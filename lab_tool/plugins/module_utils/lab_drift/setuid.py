"""Programs that run with the rights of their owner or group, beyond those the distribution is known to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from .findings import Finding

LISTS = Path("/var/lib/dpkg/info")
MOUNTS = Path("/proc/self/mounts")
# Where such a bit counts at all: on disks of the PC, not on what comes over the network or is no disk.
DISKS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "zfs", "bcachefs", "tmpfs", "ramfs"})
# One directory under two names.
MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
FIND = ("-xdev", "-type", "f", "(", "-perm", "-4000", "-o", "-perm", "-2000", ")", "-print0")


def places(mounts: Path = MOUNTS) -> list[str]:
    """The mount points to look below, each disk once, shortest path first."""
    seen: set[int] = set()
    found = []
    rows = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    for _, where, kind, options, *_ in sorted(rows, key=lambda row: (len(row[1]), row[1])):
        path = where.replace("\\040", " ")
        if "nosuid" in options.split(",") or (kind not in DISKS and path != "/"):
            continue
        try:
            device = Path(path).stat().st_dev
        except OSError:
            continue
        if device not in seen:
            seen.add(device)
            found.append(path)
    return found


def search(where: Sequence[str]) -> list[str]:
    """The command that lists such files, with a zero byte behind each; the PC's users are not to notice it."""
    return ["nice", "-n", "19", "find", *where, *FIND]


def beyond(paths: Iterable[str], known: Sequence[str], lists: Path = LISTS) -> Iterator[Finding]:
    """Those that no pattern of `known` names: of a package, or of none."""
    strange = [path for path in paths if not any(fnmatchcase(_merged(path), pattern) for pattern in known)]
    owners = _owners(strange, lists) if strange else {}
    for path in strange:
        owner = owners.get(_merged(path), "")
        kind = "setuid" if owner else "setuid_foreign"
        yield Finding(kind, "no set-user-ID or set-group-ID bit", f"of {owner}" if owner else "of no package", path)


def _owners(paths: Sequence[str], lists: Path) -> dict[str, str]:
    """The package of each path that is a package's."""
    wanted = {_merged(path) for path in paths}
    found = {}
    for file in lists.glob("*.list"):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if _merged(line) in wanted:
                found[_merged(line)] = file.stem.partition(":")[0]
    return found


def _merged(path: str) -> str:
    """The path below `/usr`: packages still list some files at the old place."""
    return f"/usr{path}" if path.startswith(MERGED) else path
