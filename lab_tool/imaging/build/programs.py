"""Starts what builders need: nothing that they start outlives them, and nothing that they mount is seen outside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab_tool.errors import LabError
from lab_tool.process import Completed, run

# Where each program comes from on Debian.
_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "qemu-img": "qemu-utils",
    "rsync": "rsync",
    "sfdisk": "fdisk",
    "blkid": "util-linux",
    "mcopy": "mtools",
    "ntfs-3g": "ntfs-3g",
}
# Should the builder be killed, so is everything that it started, and what it mounted goes with it.
_CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_LAST_LINES = 12
_IN_MOUNT = """set -e
mount -t "$1" -o "$2" -- "$3" "$4"
point=$4
shift 4
"$@"
sync -f "$point"
umount "$point"
"""


def tool(
    *argv: str | Path,
    what: str,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    contained: bool = False,
    accept: Sequence[int] = (0,),
) -> Completed:
    """Run a program to its end; `contained` in namespaces of its own. `what` it was to do stands in the `LabError`
    that is raised when it fails or is missing; `accept` are the exit codes that mean success.
    """
    words = [os.fspath(word) for word in argv]
    surroundings = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})}
    try:
        done = run([*(_CONTAINED if contained else ()), *words], env=surroundings, input=input)
    except FileNotFoundError as error:
        missing = str(error.filename or words[0])
        package = _PACKAGES.get(missing, missing)
        raise LabError(f"{what}: {missing} is not installed", next_command=f"apt-get install {package}") from error
    if done.code not in accept:
        said = (done.err.decode(errors="replace").strip() or done.out.decode(errors="replace").strip()).splitlines()
        raise LabError("\n".join([f"{what}: {words[0]} ended with {done.code}", *said[-_LAST_LINES:]]))
    return done


def in_mount(
    image: Path, fs: str, options: str, *argv: str | Path, what: str, env: Mapping[str, str] | None = None
) -> Completed:
    """Run a program while the file system in the file `image` is mounted; the word `{}` in it becomes the place.

    The mount is in a namespace of its own and ends with the program, whatever happens to either.
    """
    point = image.with_name(f"{image.name}.mount")
    point.mkdir(exist_ok=True)
    kind = "ntfs-3g" if fs == "ntfs" else fs
    full = options if fs == "ntfs" else f"loop,{options}"
    words = [os.fspath(word).replace("{}", str(point)) for word in argv]
    try:
        return tool(
            *("sh", "-c", _IN_MOUNT, "sh", kind, full, str(image), str(point), *words),
            what=what,
            env=env,
            contained=True,
        )
    finally:
        point.rmdir()
